#include "fusion/relative_score.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace braid::fusion {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> Ids(const std::vector<FusedCandidate>& fused) {
  std::vector<uint64_t> ids;
  for (const FusedCandidate& candidate : fused) ids.push_back(candidate.id);
  return ids;
}

RankedList Bm25(std::vector<RankedHit> hits, double weight = 1) {
  RankedList list;
  list.hits = std::move(hits);
  list.weight = weight;
  list.scale = ScoreScale::kRelative;
  return list;
}

// 16 ^ 0.75 = 8: a best score of 16 is divided by 24.
TEST(RelativeScoreTest, AveragesScaledScores) {
  const auto fused = RelativeScoreFusion(
      {Bm25({{1, 16}, {2, 12}, {3, 3}}), {{{3, 0.75}, {2, 0.25}, {4, 0.125}}}},
      10);
  // 1: 16/24 / 2; 2: (12/24 + 1/4) / 2; 3: (3/24 + 3/4) / 2; 4: 1/8 / 2.
  EXPECT_THAT(Ids(fused), ElementsAre(3, 2, 1, 4));
  EXPECT_NEAR(fused[0].score, 0.4375, 1e-12);
  EXPECT_NEAR(fused[1].score, 0.375, 1e-12);
  EXPECT_NEAR(fused[1].legs[0].term, 0.25, 1e-12);
  EXPECT_NEAR(fused[1].legs[1].term, 0.125, 1e-12);
  EXPECT_EQ(fused[1].legs[1].rank, 2u);
  EXPECT_DOUBLE_EQ(fused[1].legs[1].score, 0.25);
  EXPECT_NEAR(fused[2].score, 1.0 / 3, 1e-12);
  EXPECT_FALSE(fused[2].legs[1].scored);
  EXPECT_NEAR(fused[3].score, 0.0625, 1e-12);
}

// A tie at 0.375 without the cosine of 1; with it 1 passes 2.
TEST(RelativeScoreTest, CountsScoresOfWhatALegDidNotFind) {
  const RankedList bm25 = Bm25({{1, 16}, {5, 1}});
  RankedList dense = {{{2, 0.75}}};
  dense.others = {{5, -0.25}, {1, 0.5}, {77, 0.9}};
  const auto fused = RelativeScoreFusion({bm25, dense}, 10);
  ASSERT_THAT(Ids(fused), ElementsAre(1, 2, 5)) << "77 is no candidate";
  EXPECT_NEAR(fused[0].score, (16.0 / 24 + 0.5) / 2, 1e-12);
  EXPECT_EQ(fused[0].legs[1].rank, 0u);
  EXPECT_TRUE(fused[0].legs[1].scored);
  EXPECT_DOUBLE_EQ(fused[0].legs[1].score, 0.5);
  EXPECT_NEAR(fused[0].legs[1].term, 0.25, 1e-12);
  EXPECT_NEAR(fused[2].score, (1.0 / 24 - 0.25) / 2, 1e-12);
  for (const FusedCandidate& candidate : fused) {
    double sum = 0;
    for (const LegContribution& leg : candidate.legs) sum += leg.term;
    EXPECT_DOUBLE_EQ(candidate.score, sum);
  }
}

// Beside two lists that are averaged, whatever their weights.
TEST(RelativeScoreTest, ABonusIsAddedAsItIs) {
  RankedList dense = {{{2, 0.75}, {1, 0.25}}};
  dense.weight = 3;
  RankedList bonus = {{{1, 0.5}, {4, 0.25}}};
  bonus.scale = ScoreScale::kBonus;
  const auto fused = RelativeScoreFusion({Bm25({{1, 16}}), dense, bonus}, 10);
  ASSERT_THAT(Ids(fused), ElementsAre(1, 2, 4));
  EXPECT_NEAR(fused[0].score, 16.0 / 24 / 4 + 0.25 * 3 / 4 + 0.5, 1e-12);
  EXPECT_NEAR(fused[1].score, 0.75 * 3 / 4, 1e-12) << "as without the bonus";
  EXPECT_NEAR(fused[2].legs[2].term, 0.25, 1e-12);
}

// What ranks cannot tell: an exact identifier stands far above the rest.
TEST(RelativeScoreTest, AnOutstandingHitOfOneLegBeatsMiddlingHitsOfBoth) {
  RankedList bm25 = Bm25({{100, 30}});
  RankedList dense;
  for (uint64_t id = 1; id <= 50; ++id) {
    bm25.hits.push_back({id, 9 - 0.1 * static_cast<double>(id)});
    dense.hits.push_back({id, 0.5 - 0.005 * static_cast<double>(id)});
  }
  dense.hits.insert(dense.hits.begin(), {200, 0.75});
  const auto fused = RelativeScoreFusion({bm25, dense}, 3);
  EXPECT_THAT(Ids(fused), ElementsAre(100, 200, 1));
}

// The cosines of one query are those of any other; twice as many words in the
// question make twice the BM25 score and say little more.
TEST(RelativeScoreTest, LongQueriesDoNotDrownCosines) {
  const auto fuse = [](double words) {
    return RelativeScoreFusion(
        {Bm25({{1, 10 * words}, {2, 9 * words}}), {{{2, 0.7}, {1, 0.5}}}}, 2);
  };
  EXPECT_THAT(Ids(fuse(1)), ElementsAre(2, 1));
  EXPECT_THAT(Ids(fuse(16)), ElementsAre(2, 1));
  // Sixteen times the score counts twice.
  EXPECT_NEAR(fuse(16)[1].legs[0].term, 2 * fuse(1)[1].legs[0].term, 1e-12);
}

TEST(RelativeScoreTest, WeightsAreShares) {
  const auto fused = RelativeScoreFusion(
      {Bm25({{1, 16}, {2, 12}}, 3), {{{2, 0.75}, {1, 0.5}}, 1}}, 10);
  EXPECT_THAT(Ids(fused), ElementsAre(1, 2));
  EXPECT_NEAR(fused[0].score, 0.75 * 16 / 24 + 0.25 * 0.5, 1e-12);
  EXPECT_NEAR(fused[1].score, 0.75 * 12 / 24 + 0.25 * 0.75, 1e-12);
}

TEST(RelativeScoreTest, EmptyListsZeroWeightsAndZeroScores) {
  EXPECT_TRUE(RelativeScoreFusion({}, 10).empty());
  EXPECT_TRUE(RelativeScoreFusion({RankedList(), RankedList()}, 10).empty());
  const auto fused = RelativeScoreFusion({{{{1, 7}}, 0}, {{{2, 3}}, 0}}, 10);
  EXPECT_THAT(Ids(fused), ElementsAre(1, 2));
  EXPECT_DOUBLE_EQ(fused[0].score, 0);
  EXPECT_DOUBLE_EQ(RelativeScoreFusion({Bm25({{1, 0}})}, 1)[0].score, 0);
}

}  // namespace
}  // namespace braid::fusion
