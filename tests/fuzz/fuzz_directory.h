// A directory in memory for code that reads files by name.
#ifndef BRAID_TESTS_FUZZ_FUZZ_DIRECTORY_H_
#define BRAID_TESTS_FUZZ_FUZZ_DIRECTORY_H_

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

namespace braid::model {

// Of this process, removed when it ends (not when it crashes).
class FuzzDirectory {
 public:
  FuzzDirectory() {
    for (const char* parent : {"/dev/shm", "/tmp"}) {
      path_ = std::string(parent) + "/braid-fuzz-XXXXXX";
      if (mkdtemp(path_.data()) != nullptr) return;
    }
    std::abort();
  }
  ~FuzzDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  FuzzDirectory(const FuzzDirectory&) = delete;
  FuzzDirectory& operator=(const FuzzDirectory&) = delete;

  const std::string& path() const { return path_; }
  // Creates or replaces a file; returns its path.
  std::string Write(const std::string& name, const void* data,
                    size_t size) const {
    const std::string path = path_ + "/" + name;
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr || std::fwrite(data, 1, size, file) != size ||
        std::fclose(file) != 0) {
      std::abort();
    }
    return path;
  }

 private:
  std::string path_;
};

}  // namespace braid::model

#endif  // BRAID_TESTS_FUZZ_FUZZ_DIRECTORY_H_
