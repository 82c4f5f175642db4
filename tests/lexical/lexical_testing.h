// What the tests of the lexical index share.
#ifndef BRAID_TESTS_LEXICAL_LEXICAL_TESTING_H_
#define BRAID_TESTS_LEXICAL_LEXICAL_TESTING_H_

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "retrieval/lexical/lexical_index.h"

namespace braid::retrieval {

// In memory where the machine has such a place: every commit syncs its files,
// which says nothing here and would take most of the time.
inline std::filesystem::path Root() {
  const std::filesystem::path memory = "/dev/shm";
  return access(memory.c_str(), W_OK) == 0
             ? memory
             : std::filesystem::path(testing::TempDir());
}

// A directory of the running test, removed with it.
class TestDirectory {
 public:
  TestDirectory() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ =
        Root() / absl::StrCat("braid_lexical_", getpid(), "_",
                              absl::StrReplaceAll(test->name(), {{"/", "_"}}));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path(const std::string& name = "index") const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline std::unique_ptr<LexicalIndex> OpenIndex(
    const std::string& path, const std::string& language = "en") {
  absl::StatusOr<std::unique_ptr<LexicalIndex>> index =
      LexicalIndex::Open(path, language);
  EXPECT_TRUE(index.ok()) << index.status();
  return index.ok() ? *std::move(index) : nullptr;
}

inline void AddText(LexicalIndex& index, ChunkId chunk, const std::string& text,
                    const std::string& title = "") {
  const absl::Status status =
      index.Add({.chunk = chunk, .title = title, .text = text});
  ASSERT_TRUE(status.ok()) << status;
}

inline std::vector<ScoredChunk> SearchAll(const LexicalIndex& index,
                                          const std::string& query,
                                          size_t limit = 100) {
  const auto found = index.snapshot()->Search(query, limit, nullptr);
  EXPECT_TRUE(found.ok()) << found.status();
  return found.ok() ? *found : std::vector<ScoredChunk>();
}

inline std::vector<ChunkId> Ids(const std::vector<ScoredChunk>& found) {
  std::vector<ChunkId> ids;
  for (const ScoredChunk& hit : found) ids.push_back(hit.chunk);
  return ids;
}

inline std::vector<ChunkId> ChunksOf(const LexicalIndex& index) {
  const auto chunks = index.snapshot()->Chunks();
  EXPECT_TRUE(chunks.ok()) << chunks.status();
  return chunks.ok() ? *chunks : std::vector<ChunkId>();
}

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_LEXICAL_LEXICAL_TESTING_H_
