// Flat segments: results by the definition, deletes, filters, snapshots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "retrieval/dense/dense_index.h"
#include "tests/dense/vectors.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::unique_ptr<DenseIndex> OpenIndex(const TemporaryDirectory& directory,
                                      size_t dimension) {
  DenseIndexOptions options;
  options.dimension = dimension;
  auto index = DenseIndex::Open(directory.path(), options);
  EXPECT_TRUE(index.ok()) << index.status();
  return *std::move(index);
}

TEST(DenseSearchTest, FlatEqualsTheDefinition) {
  // 37: no multiple of any SIMD width. 1,000 rows: several blocks.
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 37);
  Model model;
  VectorSource source(37, 20, 1);
  Fill(*index, model, source, 1, 300);
  index->Publish();
  Fill(*index, model, source, 301, 700);
  index->Publish();
  const auto snapshot = index->snapshot();
  EXPECT_EQ(snapshot->Chunks(), model.Chunks());
  for (int i = 0; i < 50; ++i) {
    const std::vector<float> query = source.Next();
    const auto found = snapshot->Search(query, 10, nullptr);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(Ids(*found), model.Search(query, 10));
    for (const ScoredChunk& hit : *found) {
      double score = 0;
      for (size_t d = 0; d < query.size(); ++d) {
        score += double{query[d]} * model.vector(hit.chunk)[d];
      }
      EXPECT_NEAR(hit.score, score, 1e-5);
    }
  }
}

TEST(DenseSearchTest, TiesGoToTheSmallerId) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 3);
  const std::vector<float> same = {1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0};
  ASSERT_TRUE(index->Add({9, 2, 7, 4}, same).ok());
  index->Publish();
  const auto found = index->snapshot()->Search({1.f, 0.f, 0.f}, 3, nullptr);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(Ids(*found), ElementsAre(2, 4, 7));
}

TEST(DenseSearchTest, FiltersFailClosed) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 16);
  Model model;
  VectorSource source(16, 5, 2);
  Fill(*index, model, source, 1, 500);
  index->Publish();
  const auto snapshot = index->snapshot();
  const std::vector<float> query = source.Next();

  const ChunkBitmap nothing;
  EXPECT_THAT(*snapshot->Search(query, 10, &nothing), IsEmpty());
  ChunkBitmap unknown;
  unknown.Add(100000);
  EXPECT_THAT(*snapshot->Search(query, 10, &unknown), IsEmpty());
  ChunkBitmap some;
  for (ChunkId id = 3; id <= 500; id += 7) some.Add(id);
  EXPECT_EQ(Ids(*snapshot->Search(query, 10, &some)),
            model.Search(query, 10, [](ChunkId id) { return id % 7 == 3; }));
}

TEST(DenseSearchTest, DeletedChunksAreNotFound) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 16);
  Model model;
  VectorSource source(16, 5, 3);
  Fill(*index, model, source, 1, 400);
  index->Publish();
  for (ChunkId id = 1; id <= 400; id += 3) {
    ASSERT_TRUE(index->Delete(id).ok());
    model.Delete(id);
  }
  ASSERT_TRUE(index->Delete(1).ok());       // a second time
  ASSERT_TRUE(index->Delete(987654).ok());  // never there
  index->Publish();
  const auto snapshot = index->snapshot();
  EXPECT_EQ(snapshot->Chunks(), model.Chunks());
  EXPECT_EQ(snapshot->Stats().live, model.size());
  for (int i = 0; i < 20; ++i) {
    const std::vector<float> query = source.Next();
    EXPECT_EQ(Ids(*snapshot->Search(query, 10, nullptr)),
              model.Search(query, 10));
  }
}

TEST(DenseSearchTest, AddingAgainReplaces) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 2);
  ASSERT_TRUE(index->Add({5, 6}, {1.f, 0.f, 0.f, 1.f}).ok());
  index->Publish();
  ASSERT_TRUE(index->Add({5}, {0.f, 2.f}).ok());
  index->Publish();
  const auto found = index->snapshot()->Search({0.f, 1.f}, 10, nullptr);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].chunk, 5u);
  EXPECT_EQ((*found)[0].score, 2.f);
  EXPECT_EQ((*found)[1].chunk, 6u);
}

TEST(DenseSearchTest, ScoresNamedChunks) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 2);
  // Out of order, one of them replaced, one deleted.
  ASSERT_TRUE(
      index->Add({9, 4, 7, 5}, {1.f, 0.f, 0.f, 1.f, 3.f, 1.f, 1.f, 1.f}).ok());
  ASSERT_TRUE(index->Add({4}, {0.f, 2.f}).ok());
  ASSERT_TRUE(index->Delete(7).ok());
  index->Publish();
  const auto snapshot = index->snapshot();
  const auto scored = snapshot->Score({1.f, 10.f}, {4, 9, 7, 1, 5});
  ASSERT_TRUE(scored.ok()) << scored.status();
  EXPECT_THAT(Ids(*scored), ElementsAre(4, 9, 5));
  EXPECT_EQ((*scored)[0].score, 20.f);
  EXPECT_EQ((*scored)[1].score, 1.f);
  EXPECT_EQ((*scored)[2].score, 11.f);
  EXPECT_THAT(*snapshot->Score({1.f, 10.f}, {}), IsEmpty());
  EXPECT_FALSE(snapshot->Score({1.f}, {4}).ok());
}

TEST(DenseSearchTest, SnapshotsDoNotChange) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 8);
  Model before;
  VectorSource source(8, 3, 4);
  const auto empty = index->snapshot();
  Fill(*index, before, source, 1, 100);
  EXPECT_THAT(index->snapshot()->Chunks(), IsEmpty()) << "not published yet";
  index->Publish();
  const auto old = index->snapshot();
  Model after = before;
  Fill(*index, after, source, 101, 400);
  for (ChunkId id = 1; id <= 50; ++id) {
    ASSERT_TRUE(index->Delete(id).ok());
    after.Delete(id);
  }
  EXPECT_EQ(index->snapshot()->Chunks(), before.Chunks());
  index->Publish();
  const std::vector<float> query = source.Next();
  EXPECT_THAT(empty->Chunks(), IsEmpty());
  EXPECT_EQ(old->Chunks(), before.Chunks());
  EXPECT_EQ(Ids(*old->Search(query, 20, nullptr)), before.Search(query, 20));
  EXPECT_EQ(index->snapshot()->Chunks(), after.Chunks());
  EXPECT_EQ(Ids(*index->snapshot()->Search(query, 20, nullptr)),
            after.Search(query, 20));
}

TEST(DenseSearchTest, SnapshotOutlivesTheIndex) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 2);
  ASSERT_TRUE(index->Add({5}, {1.f, 0.f}).ok());
  index->Publish();
  const auto snapshot = index->snapshot();
  index.reset();
  EXPECT_THAT(Ids(*snapshot->Search({1.f, 0.f}, 3, nullptr)), ElementsAre(5));
}

TEST(DenseSearchTest, RefusesWrongInput) {
  const TemporaryDirectory directory;
  auto index = OpenIndex(directory, 2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(absl::IsInvalidArgument(index->Add({1}, {1.f})));
  EXPECT_TRUE(absl::IsInvalidArgument(index->Add({0}, {1.f, 2.f})));
  EXPECT_TRUE(
      absl::IsInvalidArgument(index->Add({3, 3}, {1.f, 2.f, 3.f, 4.f})));
  EXPECT_TRUE(absl::IsInvalidArgument(index->Add({1}, {1.f, nan})));
  EXPECT_TRUE(
      absl::IsInvalidArgument(index->Add({1, 2}, {1.f, 1.f, infinity, 0.f})));
  EXPECT_EQ(index->uncommitted(), 0u);
  index->Publish();
  const auto snapshot = index->snapshot();
  EXPECT_THAT(snapshot->Chunks(), IsEmpty());
  EXPECT_TRUE(
      absl::IsInvalidArgument(snapshot->Search({1.f}, 1, nullptr).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      snapshot->Search({1.f, nan}, 1, nullptr).status()));
  EXPECT_THAT(*snapshot->Search({1.f, 2.f}, 0, nullptr), IsEmpty());
}

TEST(DenseSearchTest, RefusesWrongOptions) {
  const TemporaryDirectory directory;
  DenseIndexOptions options;
  EXPECT_TRUE(absl::IsInvalidArgument(
      DenseIndex::Open(directory.path(), options).status()));
  options.dimension = 8;
  options.hnsw_m = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(
      DenseIndex::Open(directory.path(), options).status()));
}

}  // namespace
}  // namespace braid::retrieval
