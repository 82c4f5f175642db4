#include "fusion/relative_score.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace braid::fusion {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> Ids(const std::vector<FusedCandidate>& fused) {
  std::vector<uint64_t> ids;
  for (const FusedCandidate& candidate : fused) ids.push_back(candidate.id);
  return ids;
}

TEST(RelativeScoreTest, AveragesScaledScores) {
  const auto fused = RelativeScoreFusion(
      {{{{1, 12}, {2, 9}, {3, 2}}}, {{{3, 0.8}, {2, 0.4}, {4, 0.3}}}}, 10);
  // 2: (7/10 + 1/5) / 2; 1: 1/2; 3: (0 + 1) / 2, after 1 by the first list.
  EXPECT_THAT(Ids(fused), ElementsAre(1, 3, 2, 4));
  EXPECT_DOUBLE_EQ(fused[0].score, 0.5);
  EXPECT_NEAR(fused[2].score, 0.45, 1e-12);
  EXPECT_NEAR(fused[2].legs[0].term, 0.35, 1e-12);
  EXPECT_EQ(fused[2].legs[1].rank, 2u);
  EXPECT_DOUBLE_EQ(fused[2].legs[1].score, 0.4);
  EXPECT_DOUBLE_EQ(fused[3].score, 0);
}

// What ranks cannot tell: an exact identifier stands far above the rest.
TEST(RelativeScoreTest, AnOutstandingHitOfOneLegBeatsMiddlingHitsOfBoth) {
  RankedList bm25;
  RankedList dense;
  bm25.hits.push_back({100, 30});
  for (uint64_t id = 1; id <= 50; ++id) {
    bm25.hits.push_back({id, 9 - 0.1 * static_cast<double>(id)});
    dense.hits.push_back({id, 0.5 - 0.005 * static_cast<double>(id)});
  }
  dense.hits.insert(dense.hits.begin(), {200, 0.75});
  const auto fused = RelativeScoreFusion({bm25, dense}, 3);
  EXPECT_THAT(Ids(fused), ElementsAre(100, 200, 1));
}

TEST(RelativeScoreTest, WeightsAreShares) {
  const RankedList bm25 = {{{1, 5}, {2, 1}}, 3};
  const RankedList dense = {{{2, 0.9}, {1, 0.1}}, 1};
  const auto fused = RelativeScoreFusion({bm25, dense}, 10);
  EXPECT_THAT(Ids(fused), ElementsAre(1, 2));
  EXPECT_DOUBLE_EQ(fused[0].score, 0.75);
  EXPECT_DOUBLE_EQ(fused[1].score, 0.25);
}

TEST(RelativeScoreTest, EqualScoresAndSingleHitsAreWholeOnes) {
  const auto fused = RelativeScoreFusion({{{{1, 7}}}, {{{2, 3}, {3, 3}}}}, 10);
  EXPECT_THAT(Ids(fused), ElementsAre(1, 2, 3));
  for (const auto& candidate : fused) EXPECT_DOUBLE_EQ(candidate.score, 0.5);
}

TEST(RelativeScoreTest, EmptyListsAndZeroWeights) {
  EXPECT_TRUE(RelativeScoreFusion({}, 10).empty());
  EXPECT_TRUE(RelativeScoreFusion({RankedList(), RankedList()}, 10).empty());
  const auto fused = RelativeScoreFusion({{{{1, 7}}, 0}, {{{2, 3}}, 0}}, 10);
  EXPECT_THAT(Ids(fused), ElementsAre(1, 2));
  EXPECT_DOUBLE_EQ(fused[0].score, 0);
}

}  // namespace
}  // namespace braid::fusion
