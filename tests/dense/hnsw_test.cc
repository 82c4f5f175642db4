// Sealed segments: recall against the definition, filters, deletes, merges.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "retrieval/dense/dense_index.h"
#include "tests/dense/vectors.h"

namespace braid::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDimension = 32;
constexpr size_t kRows = 6000;
constexpr size_t kFresh = 500;

// An index with one HNSW segment of kRows and one flat one of kFresh. A narrow
// search, so that the graph is used and not a scan (see kRowsPerWidth).
class HnswTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    master_ = new TemporaryDirectory;
    master_model_ = new Model;
    auto index = Open(master_->path());
    VectorSource source(kDimension, 100, 11);
    Fill(*index, *master_model_, source, 1, kRows);
    index->Publish();
    Fill(*index, *master_model_, source, kRows + 1, kFresh);
    index->Publish();
    index->WaitUntilSettled();
    ASSERT_TRUE(index->Commit(1).ok());
  }
  static void TearDownTestSuite() {
    delete master_;
    delete master_model_;
  }

  static std::unique_ptr<DenseIndex> Open(const std::string& directory) {
    DenseIndexOptions options;
    options.dimension = kDimension;
    options.seal_vectors = kRows;
    options.hnsw_ef_search = 40;
    auto index = DenseIndex::Open(directory, options);
    EXPECT_TRUE(index.ok()) << index.status();
    return *std::move(index);
  }

  void SetUp() override {
    fs::copy(master_->path(), directory_.path(), fs::copy_options::recursive);
    model_ = *master_model_;
    index_ = Open(directory_.path());
    const DenseStats stats = index_->snapshot()->Stats();
    ASSERT_EQ(stats.hnsw_vectors, kRows);
    ASSERT_EQ(stats.flat_vectors, kFresh);
  }

  // Mean over 100 questions; checks that every result may be there at all.
  double MeanRecall(size_t limit, const ChunkBitmap* allowed) {
    const auto snapshot = index_->snapshot();
    const std::vector<ChunkId> chunks = model_.Chunks();
    const std::set<ChunkId> live(chunks.begin(), chunks.end());
    double sum = 0;
    for (int i = 0; i < 100; ++i) {
      const std::vector<float> query = source_.Next();
      const auto found = snapshot->Search(query, limit, allowed);
      EXPECT_TRUE(found.ok());
      const std::vector<ChunkId> ids = Ids(*found);
      const auto expected = model_.Search(query, limit, [&](ChunkId id) {
        return allowed == nullptr || allowed->Contains(id);
      });
      EXPECT_EQ(ids.size(), expected.size());
      for (const ChunkId id : ids) {
        EXPECT_TRUE(live.contains(id));
        EXPECT_TRUE(allowed == nullptr || allowed->Contains(id));
      }
      sum += Recall(expected, ids);
    }
    return sum / 100;
  }

  static inline TemporaryDirectory* master_ = nullptr;
  static inline Model* master_model_ = nullptr;
  TemporaryDirectory directory_;
  Model model_;
  VectorSource source_{kDimension, 100, 11};
  std::unique_ptr<DenseIndex> index_;
};

TEST_F(HnswTest, RecallIsHigh) {
  EXPECT_GE(MeanRecall(10, nullptr), 0.95);
  EXPECT_GE(MeanRecall(100, nullptr), 0.95);
}

TEST_F(HnswTest, RecallIsHighUnderFilters) {
  ChunkBitmap broad, half, narrow;
  for (ChunkId id = 1; id <= kRows + kFresh; ++id) {
    if (id % 10 != 0) broad.Add(id);
    if (id % 2 == 0) half.Add(id);
    if (id % 100 == 0) narrow.Add(id);
  }
  EXPECT_GE(MeanRecall(10, &broad), 0.95);
  EXPECT_GE(MeanRecall(10, &half), 0.95);
  EXPECT_EQ(MeanRecall(10, &narrow), 1.0) << "few rows are scanned exactly";
  const ChunkBitmap nothing;
  EXPECT_TRUE(
      index_->snapshot()->Search(source_.Next(), 10, &nothing)->empty());
}

TEST_F(HnswTest, FilterFarFromTheQuery) {
  // Only what is least like the question is allowed: a walk towards the
  // question leads away from all of it.
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> query = source_.Next();
    const std::vector<ChunkId> order = model_.Search(query, kRows + kFresh);
    ChunkBitmap far;
    for (size_t at = order.size() - 2500; at < order.size(); ++at) {
      far.Add(order[at]);
    }
    EXPECT_EQ(
        Ids(*index_->snapshot()->Search(query, 10, &far)),
        model_.Search(query, 10, [&](ChunkId id) { return far.Contains(id); }));
  }
}

TEST_F(HnswTest, AllResultsAreExactAtALargeLimit) {
  const std::vector<float> query = source_.Next();
  EXPECT_EQ(Recall(model_.Search(query, 5000),
                   Ids(*index_->snapshot()->Search(query, 5000, nullptr))),
            1.0);
}

TEST_F(HnswTest, ScoresAreThoseOfAFlatSegment) {
  // One vector in the graph and again in the flat segment: equal scores, so the
  // smaller id comes first.
  const std::vector<float> vector = model_.vector(17);
  ASSERT_TRUE(index_->Add({kRows + kFresh + 1}, vector).ok());
  index_->Publish();
  const auto found = index_->snapshot()->Search(vector, 2, nullptr);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].chunk, 17u);
  EXPECT_EQ((*found)[1].chunk, kRows + kFresh + 1);
  EXPECT_EQ((*found)[0].score, (*found)[1].score);
}

TEST_F(HnswTest, ScoresNamedChunksAsTheSearchDoes) {
  ASSERT_TRUE(index_->Delete(3).ok());
  index_->Publish();
  const auto snapshot = index_->snapshot();
  const std::vector<float> query = source_.Next();
  const auto found = snapshot->Search(query, kRows + kFresh, nullptr);
  ASSERT_TRUE(found.ok());
  const auto scored = snapshot->Score(query, Ids(*found));
  ASSERT_TRUE(scored.ok());
  ASSERT_EQ(Ids(*scored), Ids(*found));
  for (size_t i = 0; i < found->size(); ++i) {
    EXPECT_NEAR((*scored)[i].score, (*found)[i].score, 1e-5);
  }
  EXPECT_TRUE(snapshot->Score(query, {3})->empty());
}

TEST_F(HnswTest, DeletesBelowTheThresholdAreMarked) {
  for (ChunkId id = 1; id <= kRows; id += 10) {
    ASSERT_TRUE(index_->Delete(id).ok());
    model_.Delete(id);
  }
  index_->Publish();
  index_->WaitUntilSettled();
  EXPECT_EQ(index_->snapshot()->Stats().deleted, kRows / 10);
  EXPECT_EQ(index_->snapshot()->Chunks(), model_.Chunks());
  EXPECT_GE(MeanRecall(10, nullptr), 0.95);
}

TEST_F(HnswTest, ManyDeletesAreCompactedAway) {
  const auto before = index_->snapshot();
  for (ChunkId id = 1; id <= kRows; id += 3) {
    ASSERT_TRUE(index_->Delete(id).ok());
    model_.Delete(id);
  }
  index_->Publish();
  EXPECT_EQ(index_->snapshot()->Chunks(), model_.Chunks());
  index_->WaitUntilSettled();
  const DenseStats stats = index_->snapshot()->Stats();
  EXPECT_EQ(stats.deleted, 0u);
  EXPECT_EQ(stats.hnsw_vectors, kRows - kRows / 3);
  EXPECT_EQ(index_->snapshot()->Chunks(), model_.Chunks());
  EXPECT_EQ(before->Chunks().size(), kRows + kFresh) << "old snapshots stay";
  EXPECT_GE(MeanRecall(10, nullptr), 0.95);
}

TEST_F(HnswTest, DeletesOfARunningRebuildAreKept) {
  // Deletes enough to start a compaction, then more while it runs.
  for (ChunkId id = 1; id <= kRows; id += 3) {
    ASSERT_TRUE(index_->Delete(id).ok());
    model_.Delete(id);
  }
  index_->Publish();
  for (ChunkId id = 2; id <= kRows; id += 60) {
    ASSERT_TRUE(index_->Delete(id).ok());
    model_.Delete(id);
  }
  index_->WaitUntilSettled();
  EXPECT_EQ(index_->snapshot()->Chunks().size(), kRows - kRows / 3 + kFresh)
      << "deletes became visible without being published";
  index_->Publish();
  EXPECT_EQ(index_->snapshot()->Chunks(), model_.Chunks());
}

TEST_F(HnswTest, DeletingEverythingDropsTheSegments) {
  for (const ChunkId id : model_.Chunks()) {
    ASSERT_TRUE(index_->Delete(id).ok());
  }
  index_->Publish();
  index_->WaitUntilSettled();
  const DenseStats stats = index_->snapshot()->Stats();
  EXPECT_EQ(stats.flat_segments + stats.hnsw_segments, 0u);
  EXPECT_EQ(stats.vector_bytes, 0u);
}

TEST_F(HnswTest, ReopensAsItWas) {
  const std::vector<float> query = source_.Next();
  const auto before = index_->snapshot()->Search(query, 50, nullptr);
  ASSERT_TRUE(index_->Commit(7).ok());
  index_ = Open(directory_.path());
  EXPECT_EQ(index_->committed_sequence(), 7u);
  EXPECT_EQ(index_->snapshot()->Stats().hnsw_vectors, kRows);
  EXPECT_EQ(index_->snapshot()->Chunks(), model_.Chunks());
  const auto after = index_->snapshot()->Search(query, 50, nullptr);
  ASSERT_EQ(before->size(), after->size());
  for (size_t i = 0; i < before->size(); ++i) {
    EXPECT_EQ((*before)[i].chunk, (*after)[i].chunk);
    EXPECT_EQ((*before)[i].score, (*after)[i].score);
  }
}

TEST(HnswMergeTest, SegmentsOfOneSizeAreMerged) {
  const TemporaryDirectory directory;
  DenseIndexOptions options;
  options.dimension = 16;
  options.seal_vectors = 500;
  auto index = DenseIndex::Open(directory.path(), options);
  ASSERT_TRUE(index.ok());
  Model model;
  VectorSource source(16, 30, 5);
  for (size_t i = 0; i < 4; ++i) {
    Fill(**index, model, source, 1 + i * 500, 500);
    (*index)->Publish();
  }
  (*index)->WaitUntilSettled();
  const auto snapshot = (*index)->snapshot();
  EXPECT_EQ(snapshot->Stats().hnsw_segments, 1u);
  EXPECT_EQ(snapshot->Stats().hnsw_vectors, 2000u);
  EXPECT_EQ(snapshot->Chunks(), model.Chunks());
  for (int i = 0; i < 20; ++i) {
    const std::vector<float> query = source.Next();
    EXPECT_GE(Recall(model.Search(query, 10),
                     Ids(*snapshot->Search(query, 10, nullptr))),
              0.9);
  }
}

TEST(HnswMergeTest, ManyEqualVectorsStayReachable) {
  // Boilerplate gives hundreds of equal vectors; a graph of near neighbours
  // only would fall apart into islands.
  const TemporaryDirectory directory;
  DenseIndexOptions options;
  options.dimension = 16;
  options.seal_vectors = 4000;
  options.hnsw_ef_search = 40;
  auto index = DenseIndex::Open(directory.path(), options);
  ASSERT_TRUE(index.ok());
  Model model;
  VectorSource source(16, 30, 6);
  const std::vector<float> same = source.Next();
  std::vector<ChunkId> chunks;
  std::vector<float> vectors;
  for (ChunkId id = 1; id <= 4000; ++id) {
    const std::vector<float> vector = id % 4 == 0 ? same : source.Next();
    chunks.push_back(id);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
    model.Add(id, vector);
  }
  ASSERT_TRUE((*index)->Add(chunks, vectors).ok());
  (*index)->Publish();
  (*index)->WaitUntilSettled();
  const auto snapshot = (*index)->snapshot();
  ASSERT_EQ(snapshot->Stats().hnsw_segments, 1u);
  ASSERT_EQ(snapshot->Chunks(), model.Chunks());
  // Every one of them counts as a result of its own.
  EXPECT_EQ(Ids(*snapshot->Search(same, 10, nullptr)), model.Search(same, 10));
  double recall = 0;
  for (int i = 0; i < 100; ++i) {
    const std::vector<float> query = source.Next();
    // By score: which of the equal ones come back is not for the graph to say.
    const auto found = snapshot->Search(query, 10, nullptr);
    ASSERT_EQ(found->size(), 10u);
    const std::vector<ChunkId> expected = model.Search(query, 10);
    double worst = 0;
    for (size_t d = 0; d < query.size(); ++d) {
      worst += double{query[d]} * model.vector(expected.back())[d];
    }
    for (const ScoredChunk& hit : *found) {
      recall += hit.score >= worst - 1e-5 ? 0.1 : 0;
    }
  }
  EXPECT_GE(recall / 100, 0.95);
}

}  // namespace
}  // namespace braid::retrieval
