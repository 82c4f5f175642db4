#include "services/eval/significance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace braid::services {
namespace {

// The smallest k with P(X <= k) >= fraction, X binomial (count, share).
int BinomialQuantile(int count, double share, double fraction) {
  double probability = std::pow(1 - share, count);
  double sum = probability;
  int k = 0;
  while (sum < fraction) {
    probability *= share / (1 - share) * (count - k) / (k + 1);
    sum += probability;
    ++k;
  }
  return k;
}

TEST(Significance, EqualRunsDoNotDiffer) {
  const std::vector<double> scores = {0.1, 0.9, 0.4, 0, 1};
  const PairedDifference got = PairedBootstrap(scores, scores);
  EXPECT_EQ(got.mean, 0);
  EXPECT_EQ(got.interval.low, 0);
  EXPECT_EQ(got.interval.high, 0);
  EXPECT_EQ(got.p, 1);
  EXPECT_EQ(got.better + got.worse, 0u);
  EXPECT_FALSE(IsSignificant(got));
}

TEST(Significance, NothingToCompareIsNoDifference) {
  const PairedDifference got = PairedBootstrap({}, {});
  EXPECT_EQ(got.mean, 0);
  EXPECT_EQ(got.p, 1);
  EXPECT_EQ(BootstrapMean({}).high, 0);
}

// All resamples are alike: no chance is left.
TEST(Significance, AConstantDifferenceIsCertain) {
  const std::vector<double> before = {0.1, 0.2, 0.3, 0.4};
  const std::vector<double> after = {0.6, 0.7, 0.8, 0.9};
  const PairedDifference got = PairedBootstrap(before, after);
  EXPECT_NEAR(got.mean, 0.5, 1e-12);
  EXPECT_NEAR(got.interval.low, 0.5, 1e-12);
  EXPECT_NEAR(got.interval.high, 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(got.p, 1.0 / 10001);
  EXPECT_EQ(got.better, 4u);
  EXPECT_TRUE(IsSignificant(got));
}

// Of two queries one changed by 1: the mean of a resample is 0, .5, .5 or 1,
// each with a probability of a quarter, and 0 and 1 are as far from .5 as .5
// from 0.
TEST(Significance, TwoQueriesByHand) {
  const std::vector<double> before = {0, 0};
  const std::vector<double> after = {0, 1};
  const PairedDifference got = PairedBootstrap(before, after);
  EXPECT_EQ(got.mean, 0.5);
  EXPECT_EQ(got.interval.low, 0);
  EXPECT_EQ(got.interval.high, 1);
  // Standard deviation of the estimate: .005.
  EXPECT_NEAR(got.p, 0.5, 0.02);
}

// Hits of 0 or 1: the sum of a resample is binomial.
TEST(Significance, HitsFollowTheBinomialDistribution) {
  for (const int hits : {3, 20, 57}) {
    SCOPED_TRACE(hits);
    constexpr int kCount = 80;
    std::vector<double> values(kCount, 0.0);
    for (int i = 0; i < hits; ++i) values[static_cast<size_t>(i)] = 1;
    const double share = static_cast<double>(hits) / kCount;
    const Interval got = BootstrapMean(values);
    // A neighbouring count may win by chance of the draw.
    EXPECT_NEAR(got.low * kCount, BinomialQuantile(kCount, share, 0.025), 1.01);
    EXPECT_NEAR(got.high * kCount, BinomialQuantile(kCount, share, 0.975),
                1.01);
  }
}

// The mean of many differences is close to normal: interval and p agree with
// those of a z test.
TEST(Significance, ApproachesTheNormalDistribution) {
  std::mt19937 random(7);
  for (const double shift : {0.0, 0.02, 0.04, 0.12}) {
    SCOPED_TRACE(shift);
    constexpr size_t kCount = 1000;
    std::vector<double> before(kCount);
    std::vector<double> after(kCount);
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < kCount; ++i) {
      before[i] = static_cast<double>(random() % 1000) / 1000;
      after[i] = static_cast<double>(random() % 1000) / 1000 + shift;
      sum += after[i] - before[i];
      squares += (after[i] - before[i]) * (after[i] - before[i]);
    }
    const double mean = sum / kCount;
    const double error = std::sqrt((squares / kCount - mean * mean) / kCount);
    const double p = std::erfc(std::abs(mean) / error / std::sqrt(2.0));
    const PairedDifference got = PairedBootstrap(before, after);
    EXPECT_NEAR(got.mean, mean, 1e-12);
    EXPECT_NEAR(got.interval.low, mean - 1.96 * error, 0.1 * error);
    EXPECT_NEAR(got.interval.high, mean + 1.96 * error, 0.1 * error);
    EXPECT_NEAR(got.p, p, 0.02);
    EXPECT_EQ(IsSignificant(got), got.p < 0.05);
  }
}

TEST(Significance, ADifferenceHasTwoSides) {
  const std::vector<double> low = {0.1, 0.3, 0.2, 0.5, 0.1, 0.2};
  const std::vector<double> high = {0.2, 0.9, 0.1, 0.9, 0.6, 0.2};
  const PairedDifference up = PairedBootstrap(low, high);
  const PairedDifference down = PairedBootstrap(high, low);
  EXPECT_NEAR(up.mean, -down.mean, 1e-12);
  EXPECT_NEAR(up.interval.low, -down.interval.high, 1e-12);
  EXPECT_EQ(up.p, down.p);
  EXPECT_EQ(up.better, 4u);
  EXPECT_EQ(up.worse, 1u);
  EXPECT_EQ(down.worse, 4u);
}

TEST(Significance, EveryMetricIsComparedAlone) {
  std::vector<QueryScores> before(9);
  std::vector<QueryScores> after(9);
  for (size_t i = 0; i < before.size(); ++i) {
    before[i].metrics.ndcg_10 = 0.1 * static_cast<double>(i % 4);
    after[i].metrics.ndcg_10 = 0.1 * static_cast<double>(i % 5);
    after[i].metrics.map_10 = i == 3 ? 1 : 0;
  }
  const std::vector<PairedDifference> got = CompareScores(before, after);
  ASSERT_EQ(got.size(), MetricFields().size());
  for (size_t f = 0; f < got.size(); ++f) {
    std::vector<double> was;
    std::vector<double> is;
    for (size_t i = 0; i < before.size(); ++i) {
      was.push_back(before[i].metrics.*MetricFields()[f].value);
      is.push_back(after[i].metrics.*MetricFields()[f].value);
    }
    const PairedDifference alone = PairedBootstrap(was, is);
    EXPECT_EQ(got[f].mean, alone.mean);
    EXPECT_EQ(got[f].interval.low, alone.interval.low);
    EXPECT_EQ(got[f].interval.high, alone.interval.high);
    EXPECT_EQ(got[f].p, alone.p);
    EXPECT_EQ(got[f].better, alone.better);
  }
  EXPECT_EQ(got.back().better, 1u);
  EXPECT_EQ(CompareScores({}, {}).size(), MetricFields().size());
}

TEST(Significance, TheSeedDecides) {
  const std::vector<double> values = {0.1, 0.7, 0.3, 0.9, 0.2, 0.5, 0.6};
  EXPECT_EQ(BootstrapMean(values).low, BootstrapMean(values).low);
  EXPECT_NE(BootstrapMean(values, {.resamples = 50, .seed = 1}).low,
            BootstrapMean(values, {.resamples = 50, .seed = 2}).low);
}

}  // namespace
}  // namespace braid::services
