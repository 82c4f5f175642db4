#include <fstream>
#include <iterator>
#include <map>

#include "gmock/gmock.h"
#include "tests/lexical/lexical_testing.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

std::string ReadBytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteBytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
}

bool IsLock(const fs::path& path) { return path.extension() == ".lock"; }

// Two segments, one of them with a delete.
void BuildIndex(const std::string& path) {
  const auto index = OpenIndex(path);
  AddText(*index, 1, "apple max_wal_size");
  AddText(*index, 2, "apple getUserName");
  AddText(*index, 4, "apple");
  AddText(*index, 5, "apple");
  ASSERT_TRUE(index->Commit(7).ok());
  AddText(*index, 3, "apple");
  ASSERT_TRUE(index->Delete(1).ok());
  ASSERT_TRUE(index->Commit(9).ok());
}

TEST(LexicalDurabilityTest, ReopensWithItsSequence) {
  TestDirectory directory;
  {
    const auto index = OpenIndex(directory.path());
    EXPECT_EQ(index->committed_sequence(), 0u);
    EXPECT_THAT(ChunksOf(*index), IsEmpty());
  }
  EXPECT_EQ(OpenIndex(directory.path())->committed_sequence(), 0u);
  BuildIndex(directory.path());
  {
    const auto index = OpenIndex(directory.path());
    EXPECT_EQ(index->committed_sequence(), 9u);
    EXPECT_THAT(ChunksOf(*index), ElementsAre(2, 3, 4, 5));
    // Not committed: lost.
    AddText(*index, 6, "apple");
  }
  const auto index = OpenIndex(directory.path());
  EXPECT_THAT(ChunksOf(*index), ElementsAre(2, 3, 4, 5));
  // A replay after the crash may bring a chunk again.
  AddText(*index, 3, "apple");
  AddText(*index, 6, "apple");
  ASSERT_TRUE(index->Commit(10).ok());
  EXPECT_THAT(ChunksOf(*index), ElementsAre(2, 3, 4, 5, 6));
  // A commit of nothing but a sequence.
  ASSERT_TRUE(index->Commit(11).ok());
  EXPECT_EQ(index->committed_sequence(), 11u);
}

TEST(LexicalDurabilityTest, OneWriterAtATime) {
  TestDirectory directory;
  auto index = OpenIndex(directory.path());
  AddText(*index, 1, "apple");
  ASSERT_TRUE(index->Commit(1).ok());
  const auto second = LexicalIndex::Open(directory.path(), "en");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  // Nor does another language take it away.
  EXPECT_EQ(LexicalIndex::Open(directory.path(), "de").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(ChunksOf(*index), ElementsAre(1));
  index.reset();
  EXPECT_THAT(ChunksOf(*OpenIndex(directory.path())), ElementsAre(1));
}

TEST(LexicalDurabilityTest, AnotherLanguageStartsAnew) {
  TestDirectory directory;
  BuildIndex(directory.path());
  const auto index = OpenIndex(directory.path(), "fr");
  EXPECT_EQ(index->committed_sequence(), 0u);
  EXPECT_THAT(ChunksOf(*index), IsEmpty());
}

// A killed writer leaves the files as they were at that moment, lock files
// included: copies made between any two steps stand for that.
// What the directory holds at one moment: the index's own threads rename and
// remove files while it is copied, so until nothing changed meanwhile.
void CopyAsOfOneMoment(const fs::path& from, const fs::path& to) {
  const auto listing = [&from] {
    std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> files;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(from, error)) {
      if (!entry.is_regular_file(error)) continue;
      files[entry.path().filename()] = {entry.file_size(error),
                                        entry.last_write_time(error)};
    }
    return files;
  };
  for (int attempt = 0; attempt < 1000; ++attempt) {
    fs::remove_all(to);
    const auto before = listing();
    std::error_code error;
    fs::copy(from, to, fs::copy_options::recursive, error);
    if (!error && listing() == before) return;
  }
  FAIL() << from << " changes all the time";
}

TEST(LexicalDurabilityTest, OpensWhatAKilledWriterLeft) {
  TestDirectory directory;
  auto index = OpenIndex(directory.path());
  ChunkId id = 0;
  for (Sequence commit = 1; commit <= 6; ++commit) {
    for (int i = 0; i < 20; ++i) AddText(*index, ++id, "apple pear");
    const std::string copy = directory.path("copy");
    CopyAsOfOneMoment(directory.path(), copy);
    // Leftovers of a file that was being written.
    WriteBytes(fs::path(copy) / ".tmpAbC123", "{");
    WriteBytes(fs::path(copy) / "0123456789abcdef0123456789abcdef.term", "x");
    {
      const auto survivor = OpenIndex(copy);
      const Sequence seen = survivor->committed_sequence();
      EXPECT_EQ(seen, commit - 1);
      EXPECT_EQ(ChunksOf(*survivor).size(), 20 * seen);
      AddText(*survivor, 1000, "plum");
      ASSERT_TRUE(survivor->Commit(seen + 1).ok());
      EXPECT_THAT(Ids(SearchAll(*survivor, "plum")), ElementsAre(1000));
    }
    ASSERT_TRUE(index->Commit(commit).ok());
  }
}

// Every file, truncated, emptied, removed, or with a byte flipped near its
// begin, middle and end: either the index is whole, or it starts anew.
TEST(LexicalDurabilityTest, DamageOfAnyFileStartsAnewOrIsNone) {
  TestDirectory directory;
  const std::string whole = directory.path("whole");
  BuildIndex(whole);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(whole)) {
    if (!IsLock(entry.path())) names.push_back(entry.path().filename());
  }
  ASSERT_GE(names.size(), 12u);
  int anew = 0;
  for (const std::string& name : names) {
    const std::string bytes = ReadBytes(fs::path(whole) / name);
    std::vector<std::string> variants = {
        bytes.substr(0, bytes.size() / 2),
        bytes.substr(0, bytes.empty() ? 0 : bytes.size() - 1), ""};
    for (const size_t at :
         {size_t{0}, bytes.size() / 3, bytes.size() / 2, bytes.size() - 1}) {
      if (at >= bytes.size()) continue;
      variants.push_back(bytes);
      variants.back()[at] ^= 0x10;
    }
    for (size_t v = 0; v <= variants.size(); ++v) {
      const std::string copy = directory.path("copy");
      fs::remove_all(copy);
      fs::copy(whole, copy, fs::copy_options::recursive);
      const fs::path file = fs::path(copy) / name;
      if (v == variants.size()) {
        fs::remove(file);
      } else {
        WriteBytes(file, variants[v]);
      }
      const auto index = OpenIndex(copy);
      ASSERT_NE(index, nullptr) << name << " " << v;
      const bool intact = index->committed_sequence() == 9;
      if (intact) {
        EXPECT_THAT(ChunksOf(*index), ElementsAre(2, 3, 4, 5))
            << name << " " << v;
        EXPECT_EQ(SearchAll(*index, "apple").size(), 4u);
      } else {
        ++anew;
        EXPECT_EQ(index->committed_sequence(), 0u) << name << " " << v;
        EXPECT_THAT(ChunksOf(*index), IsEmpty()) << name << " " << v;
      }
      // What is unreadable or gone is never taken for whole.
      if (v < 3 || v == variants.size()) {
        EXPECT_FALSE(intact) << name << " " << v;
      }
      if (v < variants.size()) continue;
      AddText(*index, 5, "plum");
      ASSERT_TRUE(index->Commit(20).ok());
      EXPECT_THAT(Ids(SearchAll(*index, "plum")), ElementsAre(5));
    }
  }
  EXPECT_GT(anew, static_cast<int>(names.size()) * 4);
}

TEST(LexicalDurabilityTest, WhatIsNoDamageIsAnError) {
  TestDirectory directory;
  WriteBytes(directory.path("file"), "not a directory");
  EXPECT_FALSE(LexicalIndex::Open(directory.path("file"), "en").ok());
  EXPECT_EQ(ReadBytes(directory.path("file")), "not a directory");
}

}  // namespace
}  // namespace braid::retrieval
