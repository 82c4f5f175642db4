// Searches on several threads while a writer adds, deletes, publishes, commits
// and the background thread seals and merges. Meant for ThreadSanitizer as
// well.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "retrieval/dense/dense_index.h"
#include "tests/dense/vectors.h"

namespace braid::retrieval {
namespace {

TEST(DenseConcurrencyTest, EverySnapshotIsConsistent) {
  const TemporaryDirectory directory;
  DenseIndexOptions options;
  options.dimension = 24;
  options.seal_vectors = 512;
  auto opened = DenseIndex::Open(directory.path(), options);
  ASSERT_TRUE(opened.ok());
  DenseIndex& index = **opened;

  // Each round adds 100 chunks and deletes 30 older ones, so a snapshot has
  // 70 chunks for every round it has seen.
  constexpr size_t kRounds = 40;
  std::atomic<bool> done = false;
  std::atomic<int> searches = 0;
  std::vector<std::thread> readers;
  for (uint32_t reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&, reader] {
      VectorSource source(24, 30, 100 + reader);
      size_t last = 0;
      while (!done) {
        const auto snapshot = index.snapshot();
        const size_t size = snapshot->Chunks().size();
        EXPECT_EQ(size % 70, 0u);
        EXPECT_GE(size, last) << "snapshots only move forward";
        last = size;
        const auto found = snapshot->Search(source.Next(), 10, nullptr);
        ASSERT_TRUE(found.ok());
        EXPECT_EQ(found->size(), std::min<size_t>(10, size));
        EXPECT_TRUE(
            std::is_sorted(found->begin(), found->end(),
                           [](const ScoredChunk& a, const ScoredChunk& b) {
                             return a.score > b.score ||
                                    (a.score == b.score && a.chunk < b.chunk);
                           }));
        ++searches;
      }
    });
  }
  Model model;
  VectorSource source(24, 30, 8);
  for (size_t round = 0; round < kRounds; ++round) {
    Fill(index, model, source, 1 + round * 100, 100);
    for (size_t i = 0; i < 30; ++i) {
      const ChunkId victim = 1 + round / 2 * 100 + i + (round % 2) * 30;
      ASSERT_TRUE(index.Delete(victim).ok());
      model.Delete(victim);
    }
    index.Publish();
    if (round % 5 == 4) {
      ASSERT_TRUE(index.Commit(round).ok());
    }
  }
  index.WaitUntilSettled();
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(searches, 0);
  EXPECT_EQ(index.snapshot()->Chunks(), model.Chunks());
  EXPECT_GT(index.snapshot()->Stats().hnsw_segments, 0u);
}

TEST(DenseConcurrencyTest, ClosesWhileBuilding) {
  for (int i = 0; i < 3; ++i) {
    const TemporaryDirectory directory;
    DenseIndexOptions options;
    options.dimension = 64;
    options.seal_vectors = 20000;
    auto index = DenseIndex::Open(directory.path(), options);
    ASSERT_TRUE(index.ok());
    Model model;
    VectorSource source(64, 30, 9);
    Fill(**index, model, source, 1, 20000);
    (*index)->Publish();
    const auto snapshot = (*index)->snapshot();
    const auto start = std::chrono::steady_clock::now();
    index->reset();
    EXPECT_LT(std::chrono::steady_clock::now() - start,
              std::chrono::seconds(5));
    EXPECT_EQ(snapshot->Chunks().size(), 20000u);
  }
}

}  // namespace
}  // namespace braid::retrieval
