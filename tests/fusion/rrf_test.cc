#include "fusion/rrf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace braid::fusion {
namespace {

std::vector<uint64_t> Ids(const std::vector<FusedCandidate>& fused) {
  std::vector<uint64_t> ids;
  for (const FusedCandidate& candidate : fused) ids.push_back(candidate.id);
  return ids;
}

RankedList List(std::vector<uint64_t> ids, double weight = 1.0) {
  RankedList list;
  list.weight = weight;
  double score = 100;
  for (const uint64_t id : ids) list.hits.push_back({id, score -= 1});
  return list;
}

// RRFscore(d) = sum over rankings of 1 / (k + r(d)): the formula of the paper,
// with k = 60 as its authors fixed it.
TEST(RrfTest, SumsReciprocalRanks) {
  const auto fused = ReciprocalRankFusion({List({1, 2, 3}), List({3, 1})}, {});
  ASSERT_EQ(Ids(fused), (std::vector<uint64_t>{1, 3, 2}));
  EXPECT_DOUBLE_EQ(fused[0].score, 1.0 / 61 + 1.0 / 62);
  EXPECT_DOUBLE_EQ(fused[1].score, 1.0 / 63 + 1.0 / 61);
  EXPECT_DOUBLE_EQ(fused[2].score, 1.0 / 62);
}

TEST(RrfTest, ExplainsEveryLeg) {
  const auto fused = ReciprocalRankFusion({List({7}), List({9, 7}, 0.5)}, {});
  ASSERT_EQ(fused[0].id, 7u);
  ASSERT_EQ(fused[0].legs.size(), 2u);
  EXPECT_EQ(fused[0].legs[0].rank, 1u);
  EXPECT_EQ(fused[0].legs[1].rank, 2u);
  EXPECT_DOUBLE_EQ(fused[0].legs[1].term, 0.5 / 62);
  EXPECT_DOUBLE_EQ(fused[0].legs[1].score, 98);
  EXPECT_EQ(fused[1].legs[0].rank, 0u);
}

TEST(RrfTest, WhatHasNoRankCountsNothing) {
  RankedList dense = List({9});
  dense.others = {{7, 0.9}};
  const auto fused = ReciprocalRankFusion({List({7}), dense}, {});
  ASSERT_EQ(Ids(fused), (std::vector<uint64_t>{7, 9}));
  EXPECT_DOUBLE_EQ(fused[0].score, 1.0 / 61);
  EXPECT_DOUBLE_EQ(fused[0].legs[1].score, 0.9);
  EXPECT_DOUBLE_EQ(fused[0].legs[1].term, 0);
}

TEST(RrfTest, TiesGoToTheEarlierListThenToItsRank) {
  // 1 and 2 swap ranks, so their scores are equal; 5 and 6 are each first-found
  // at the same rank of different lists.
  EXPECT_EQ(Ids(ReciprocalRankFusion({List({1, 2}), List({2, 1})}, {})),
            (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(Ids(ReciprocalRankFusion({List({5}), List({6})}, {})),
            (std::vector<uint64_t>{5, 6}));
}

TEST(RrfTest, WeightsAndConstantChangeTheOrder) {
  EXPECT_EQ(Ids(ReciprocalRankFusion({List({1}), List({2}, 3.0)}, {})),
            (std::vector<uint64_t>{2, 1}));
  // With k = 0 a first rank (1/1) beats a second and a third (1/2 + 1/3).
  EXPECT_EQ(Ids(ReciprocalRankFusion({List({1, 2, 3}), List({4, 5, 2})},
                                     {.rrf_k = 0}))[0],
            1u);
  EXPECT_EQ(Ids(ReciprocalRankFusion({List({1, 2, 3}), List({4, 5, 2})},
                                     {.rrf_k = 60}))[0],
            2u);
}

TEST(RrfTest, LimitsAndEmptyLists) {
  EXPECT_EQ(ReciprocalRankFusion({List({1, 2, 3})}, {.limit = 2}).size(), 2u);
  EXPECT_TRUE(ReciprocalRankFusion({}, {}).empty());
  EXPECT_EQ(Ids(ReciprocalRankFusion({List({}), List({4})}, {})),
            (std::vector<uint64_t>{4}));
}

TEST(RrfTest, AnIdRepeatedWithinAListCountsOnce) {
  const auto fused = ReciprocalRankFusion({List({8, 8})}, {});
  ASSERT_EQ(fused.size(), 1u);
  EXPECT_DOUBLE_EQ(fused[0].score, 1.0 / 61);
}

}  // namespace
}  // namespace braid::fusion
