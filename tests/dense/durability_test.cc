// Reopening, replaying, and every kind of damaged file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "retrieval/dense/dense_index.h"
#include "retrieval/dense/envelope.h"
#include "tests/dense/vectors.h"

namespace braid::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kDimension = 8;

std::unique_ptr<DenseIndex> OpenIndex(const std::string& directory,
                                      size_t dimension = kDimension) {
  DenseIndexOptions options;
  options.dimension = dimension;
  options.seal_vectors = 300;
  auto index = DenseIndex::Open(directory, options);
  EXPECT_TRUE(index.ok()) << index.status();
  return *std::move(index);
}

std::vector<fs::path> Files(const std::string& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void WriteFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// One HNSW segment, one flat one, deletes in both, committed at 42.
Model MakeIndex(const std::string& directory) {
  auto index = OpenIndex(directory);
  Model model;
  VectorSource source(kDimension, 10, 21);
  Fill(*index, model, source, 1, 300);
  index->Publish();
  index->WaitUntilSettled();
  Fill(*index, model, source, 301, 50);
  for (const ChunkId id : {3, 70, 310}) {
    EXPECT_TRUE(index->Delete(id).ok());
    model.Delete(id);
  }
  index->Publish();
  EXPECT_TRUE(index->Commit(42).ok());
  return model;
}

TEST(DenseDurabilityTest, ReopensWhatWasCommitted) {
  const TemporaryDirectory directory;
  const Model model = MakeIndex(directory.path());
  EXPECT_THAT(Files(directory.path()), SizeIs(3));
  auto index = OpenIndex(directory.path());
  EXPECT_EQ(index->committed_sequence(), 42u);
  EXPECT_EQ(index->uncommitted(), 0u);
  EXPECT_EQ(index->snapshot()->Chunks(), model.Chunks());
  EXPECT_EQ(index->snapshot()->Stats().hnsw_vectors, 300u);
  EXPECT_EQ(index->snapshot()->Stats().flat_vectors, 50u);
  VectorSource source(kDimension, 10, 21);
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> query = source.Next();
    EXPECT_EQ(Ids(*index->snapshot()->Search(query, 20, nullptr)),
              model.Search(query, 20));
  }
}

TEST(DenseDurabilityTest, WhatWasNotCommittedIsGoneAndCanBeReplayed) {
  const TemporaryDirectory directory;
  Model model = MakeIndex(directory.path());
  Model replayed = model;
  {
    auto index = OpenIndex(directory.path());
    VectorSource more(kDimension, 10, 22);
    Fill(*index, replayed, more, 351, 100);
    ASSERT_TRUE(index->Delete(5).ok());
    replayed.Delete(5);
    index->Publish();
    EXPECT_EQ(index->uncommitted(), 101u);
    EXPECT_EQ(index->snapshot()->Chunks(), replayed.Chunks());
  }
  auto index = OpenIndex(directory.path());
  EXPECT_EQ(index->committed_sequence(), 42u);
  EXPECT_EQ(index->snapshot()->Chunks(), model.Chunks());
  // The log is replayed twice over: adding what is there changes nothing.
  for (int i = 0; i < 2; ++i) {
    VectorSource more(kDimension, 10, 22);
    Fill(*index, replayed, more, 351, 100);
    ASSERT_TRUE(index->Delete(5).ok());
  }
  index->Publish();
  EXPECT_EQ(index->snapshot()->Chunks(), replayed.Chunks());
  ASSERT_TRUE(index->Commit(77).ok());
  index = OpenIndex(directory.path());
  EXPECT_EQ(index->committed_sequence(), 77u);
  EXPECT_EQ(index->snapshot()->Chunks(), replayed.Chunks());
}

TEST(DenseDurabilityTest, CommitWritesOnlyWhatIsNew) {
  const TemporaryDirectory directory;
  MakeIndex(directory.path());
  auto index = OpenIndex(directory.path());
  const std::vector<fs::path> before = Files(directory.path());
  std::vector<fs::file_time_type> times;
  for (const fs::path& file : before)
    times.push_back(fs::last_write_time(file));
  ASSERT_TRUE(index->Commit(42).ok());
  EXPECT_EQ(Files(directory.path()), before);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(fs::last_write_time(before[i]), times[i]) << before[i];
  }
  // A delete is a matter of the manifest alone.
  ASSERT_TRUE(index->Delete(9).ok());
  EXPECT_EQ(index->uncommitted(), 1u);
  ASSERT_TRUE(index->Commit(43).ok());
  EXPECT_EQ(index->uncommitted(), 0u);
  EXPECT_EQ(Files(directory.path()), before);
  // An add makes a new file for the growing segment and drops the old one.
  VectorSource source(kDimension, 10, 23);
  Model model;
  Fill(*index, model, source, 500, 1);
  ASSERT_TRUE(index->Commit(44).ok());
  const std::vector<fs::path> after = Files(directory.path());
  EXPECT_THAT(after, SizeIs(3));
  std::vector<fs::path> kept;
  std::set_intersection(before.begin(), before.end(), after.begin(),
                        after.end(), std::back_inserter(kept));
  EXPECT_THAT(kept, SizeIs(2)) << "the manifest and the HNSW segment";
}

TEST(DenseDurabilityTest, CommitsWhatIsNotPublished) {
  const TemporaryDirectory directory;
  {
    auto index = OpenIndex(directory.path(), 2);
    ASSERT_TRUE(index->Add({4, 5}, {1.f, 0.f, 0.f, 1.f}).ok());
    ASSERT_TRUE(index->Delete(4).ok());
    ASSERT_TRUE(index->Commit(9).ok());
    EXPECT_THAT(index->snapshot()->Chunks(), IsEmpty());
  }
  auto index = OpenIndex(directory.path(), 2);
  EXPECT_THAT(index->snapshot()->Chunks(), ElementsAre(5));
}

// A long replay: what fills a tail leaves the memory at once, and readers see
// none of it before it is published.
TEST(DenseDurabilityTest, FullTailsGoToFilesBeforeTheyArePublished) {
  const TemporaryDirectory directory;
  Model published = MakeIndex(directory.path());
  auto index = OpenIndex(directory.path());
  Model model = published;
  VectorSource source(kDimension, 10, 24);
  const size_t files = Files(directory.path()).size();
  // Fills up the tail of 50, then five more, and begins another.
  Fill(*index, model, source, 351, 250 + 5 * 300 + 10);
  EXPECT_EQ(Files(directory.path()).size(), files + 6);
  for (const ChunkId id : {320, 355, 1000, 2105}) {  // in all kinds of segments
    ASSERT_TRUE(index->Delete(id).ok());
    model.Delete(id);
  }
  EXPECT_EQ(index->snapshot()->Chunks(), published.Chunks());
  ASSERT_TRUE(index->Commit(43).ok());
  EXPECT_EQ(index->snapshot()->Chunks(), published.Chunks());
  EXPECT_EQ(OpenIndex(directory.path())->snapshot()->Chunks(), model.Chunks());
  index->Publish();
  EXPECT_EQ(index->snapshot()->Chunks(), model.Chunks());
  index->WaitUntilSettled();
  EXPECT_EQ(index->snapshot()->Chunks(), model.Chunks());
  EXPECT_EQ(index->snapshot()->Stats().flat_vectors, 10u);
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> query = source.Next();
    EXPECT_EQ(Ids(*index->snapshot()->Search(query, 20, nullptr)),
              model.Search(query, 20));
  }
}

TEST(DenseDurabilityTest, OrphansOfAnUnfinishedCommitAreRemoved) {
  const TemporaryDirectory directory;
  const Model model = MakeIndex(directory.path());
  const size_t files = Files(directory.path()).size();
  WriteFile(directory.path() + "/00000099.segment", "half a segment");
  WriteFile(directory.path() + "/MANIFEST.tmp", "half a manifest");
  auto index = OpenIndex(directory.path());
  EXPECT_EQ(index->snapshot()->Chunks(), model.Chunks());
  EXPECT_THAT(Files(directory.path()), SizeIs(files));
}

TEST(DenseDurabilityTest, AnotherDimensionEmptiesTheIndex) {
  const TemporaryDirectory directory;
  MakeIndex(directory.path());
  auto index = OpenIndex(directory.path(), kDimension + 1);
  EXPECT_EQ(index->committed_sequence(), 0u);
  EXPECT_THAT(index->snapshot()->Chunks(), IsEmpty());
  EXPECT_THAT(Files(directory.path()), IsEmpty());
}

TEST(DenseDurabilityTest, AFileInPlaceOfTheDirectoryIsAnError) {
  const TemporaryDirectory directory;
  WriteFile(directory.path() + "/index", "in the way");
  DenseIndexOptions options;
  options.dimension = kDimension;
  EXPECT_FALSE(DenseIndex::Open(directory.path() + "/index", options).ok());
}

// Puts back the undamaged files, applies `damage`, and expects an empty index
// that can be filled again.
void ExpectEmptied(const std::string& intact, const std::string& work,
                   const std::function<void()>& damage,
                   const std::string& what) {
  fs::remove_all(work);
  fs::copy(intact, work);
  damage();
  auto index = OpenIndex(work);
  ASSERT_EQ(index->committed_sequence(), 0u) << what;
  ASSERT_THAT(index->snapshot()->Chunks(), IsEmpty()) << what;
  ASSERT_THAT(Files(work), IsEmpty()) << what;
}

TEST(DenseDurabilityTest, AnyFlippedBitIsFound) {
  const TemporaryDirectory intact, scratch;
  MakeIndex(intact.path());
  const std::string work = scratch.path() + "/index";
  for (const fs::path& file : Files(intact.path())) {
    const std::string bytes = ReadFile(file);
    // Every byte near both ends, where the lengths are; samples between.
    for (size_t at = 0; at < bytes.size();
         at += (at < 64 || at + 64 > bytes.size()) ? 3 : bytes.size() / 60) {
      ExpectEmptied(
          intact.path(), work,
          [&] {
            std::string changed = bytes;
            changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
            WriteFile(work / file.filename(), changed);
          },
          file.filename().string() + " flipped at " + std::to_string(at));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(DenseDurabilityTest, AnyOtherLengthIsFound) {
  const TemporaryDirectory intact, scratch;
  MakeIndex(intact.path());
  const std::string work = scratch.path() + "/index";
  for (const fs::path& file : Files(intact.path())) {
    const std::string bytes = ReadFile(file);
    std::vector<size_t> lengths = {0,
                                   1,
                                   15,
                                   16,
                                   55,
                                   56,
                                   bytes.size() - 1,
                                   bytes.size() + 1,
                                   bytes.size() + 4096};
    for (size_t part = 1; part < 20; ++part) {
      lengths.push_back(bytes.size() * part / 20);
    }
    for (const size_t length : lengths) {
      ExpectEmptied(
          intact.path(), work,
          [&] {
            std::string changed = bytes;
            changed.resize(length, '\0');
            WriteFile(work / file.filename(), changed);
          },
          file.filename().string() + " of length " + std::to_string(length));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(DenseDurabilityTest, AMissingFileIsFound) {
  const TemporaryDirectory intact, scratch;
  MakeIndex(intact.path());
  const std::string work = scratch.path() + "/index";
  for (const fs::path& file : Files(intact.path())) {
    ExpectEmptied(
        intact.path(), work, [&] { fs::remove(work / file.filename()); },
        file.filename().string() + " missing");
  }
}

TEST(DenseDurabilityTest, AnIntactFileOfAnotherIndexIsFound) {
  const TemporaryDirectory intact, other, scratch;
  MakeIndex(intact.path());
  {
    auto index = OpenIndex(other.path());
    Model model;
    VectorSource source(kDimension, 10, 99);
    Fill(*index, model, source, 1, 300);
    index->Publish();
    index->WaitUntilSettled();
    ASSERT_TRUE(index->Commit(1).ok());
  }
  const std::string work = scratch.path() + "/index";
  fs::path segment;
  for (const fs::path& file : Files(other.path())) {
    if (file.extension() == ".segment") segment = file;
  }
  for (const fs::path& file : Files(intact.path())) {
    if (file.extension() != ".segment") continue;
    ExpectEmptied(
        intact.path(), work,
        [&] {
          fs::copy_file(segment, work / file.filename(),
                        fs::copy_options::overwrite_existing);
        },
        file.filename().string() + " exchanged");
  }
}

TEST(DenseDurabilityTest, AnEmptiedIndexCanBeFilledAgain) {
  const TemporaryDirectory directory;
  MakeIndex(directory.path());
  for (const fs::path& file : Files(directory.path())) WriteFile(file, "x");
  auto index = OpenIndex(directory.path());
  EXPECT_EQ(index->committed_sequence(), 0u);
  Model model;
  VectorSource source(kDimension, 10, 30);
  Fill(*index, model, source, 1, 500);
  index->Publish();
  ASSERT_TRUE(index->Commit(12).ok());
  index = OpenIndex(directory.path());
  EXPECT_EQ(index->committed_sequence(), 12u);
  EXPECT_EQ(index->snapshot()->Chunks(), model.Chunks());
}

TEST(EnvelopeTest, RoundTripAcrossBufferSizes) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  // Around the size of the writer's and the reader's buffer.
  for (const size_t size :
       {size_t{0}, size_t{1}, (size_t{1} << 18) - 24, (size_t{1} << 18) - 17,
        size_t{1} << 18, (size_t{1} << 18) + 5, size_t{700000}}) {
    std::string body(size, '\0');
    for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>(i * 7 + 3);
    EnvelopeSeal seal;
    {
      auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kSegment);
      ASSERT_TRUE(writer.ok());
      ASSERT_TRUE((*writer)->Append(body.data(), body.size()).ok());
      seal = *(*writer)->Finish();
    }
    EXPECT_EQ(seal.file_bytes, fs::file_size(path));
    auto reader = EnvelopeReader::Open(path, EnvelopeKind::kSegment);
    ASSERT_TRUE(reader.ok()) << reader.status() << " at " << size;
    EXPECT_EQ((*reader)->seal(), seal);
    ASSERT_EQ((*reader)->remaining(), size);
    std::string read(size, '\0');
    ASSERT_TRUE((*reader)->Read(read.data(), size).ok());
    EXPECT_EQ(read, body);
    EXPECT_TRUE(absl::IsDataLoss((*reader)->Read(read.data(), 1)));
  }
}

TEST(EnvelopeTest, AnotherKindIsDataLoss) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kManifest);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_TRUE(EnvelopeReader::Open(path, EnvelopeKind::kManifest).ok());
  EXPECT_TRUE(absl::IsDataLoss(
      EnvelopeReader::Open(path, EnvelopeKind::kSegment).status()));
  EXPECT_TRUE(absl::IsNotFound(
      EnvelopeReader::Open(path + "x", EnvelopeKind::kSegment).status()));
}

// After a commit that failed, an index is opened again and gives its next file
// the same number; what searched meanwhile has the first one mapped.
TEST(EnvelopeTest, AFileThatIsWrittenAgainLeavesTheMappedOneAlone) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/1.seg";
  const auto write = [&path](uint64_t value) {
    auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kSegment);
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE((*writer)->AppendValue(value).ok());
    EXPECT_TRUE((*writer)->Finish().ok());
    return *(*writer)->Map();
  };
  const MappedFile first = write(1);
  const MappedFile second = write(2);
  EXPECT_EQ(*first.At<uint64_t>(kEnvelopeHeaderBytes), 1u);
  EXPECT_EQ(*second.At<uint64_t>(kEnvelopeHeaderBytes), 2u);
  EXPECT_THAT(Files(directory.path()), SizeIs(1));
}

}  // namespace
}  // namespace braid::retrieval
