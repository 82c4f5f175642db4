#include "retrieval/dense/top_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace braid::retrieval {
namespace {

TEST(TopKTest, EqualsASortWithManyTies) {
  std::mt19937 random(3);
  for (const size_t limit : {1, 2, 7, 50, 300}) {
    TopK best(limit);
    std::vector<std::pair<float, ChunkId>> all;
    std::vector<ChunkId> ids(200);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = i + 1;
    std::shuffle(ids.begin(), ids.end(), random);
    for (const ChunkId id : ids) {
      const float score = static_cast<float>(random() % 5);
      all.emplace_back(-score, id);
      best.Push(id, score);
    }
    std::sort(all.begin(), all.end());
    all.resize(std::min(limit, all.size()));
    const std::vector<ScoredChunk> found = best.Take();
    ASSERT_EQ(found.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(found[i].chunk, all[i].second);
      EXPECT_EQ(found[i].score, -all[i].first);
    }
  }
}

TEST(TopKTest, KeepsNothingAtLimitZero) {
  TopK best(0);
  best.Push(1, 1.0f);
  EXPECT_TRUE(best.Take().empty());
}

TEST(TopKTest, ANumberBeatsNoNumber) {
  TopK best(1);
  best.Push(1, std::numeric_limits<float>::quiet_NaN());
  best.Push(2, -5.0f);
  const std::vector<ScoredChunk> found = best.Take();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].chunk, 2u);
}

}  // namespace
}  // namespace braid::retrieval
