// Directories of a test process: test cases run as processes of their own, at
// the same time.
#ifndef BRAID_TESTS_CHECKPOINT_TEST_DIRECTORY_H_
#define BRAID_TESTS_CHECKPOINT_TEST_DIRECTORY_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace braid::model {

// A directory of this process, removed when it ends.
inline const std::filesystem::path& TestRoot() {
  struct Root {
    Root()
        : path(std::filesystem::path(testing::TempDir()) /
               ("braid_test_" + std::to_string(getpid()))) {
      std::filesystem::create_directories(path);
    }
    ~Root() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  };
  static const Root root;
  return root.path;
}

// A file in it.
inline std::string TestPath(const std::string& name) {
  return (TestRoot() / name).string();
}

// An empty directory in it.
inline std::string NewDirectory(const std::string& name) {
  const std::filesystem::path path = TestRoot() / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace braid::model

#endif  // BRAID_TESTS_CHECKPOINT_TEST_DIRECTORY_H_
