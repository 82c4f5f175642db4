#include "generation/engine/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

namespace braid::generation {
namespace {

constexpr int kDraws = 20000;

std::vector<double> Frequencies(const std::vector<float>& logits,
                                const SamplingParams& params) {
  std::mt19937_64 rng(params.seed);
  std::vector<double> counts(logits.size());
  for (int i = 0; i < kDraws; ++i)
    counts[SampleToken(logits, params, rng)] += 1;
  for (double& count : counts) count /= kDraws;
  return counts;
}

TEST(SamplingTest, GreedyTakesTheFirstOfTheLargest) {
  std::mt19937_64 rng(1);
  EXPECT_EQ(SampleToken({1, 3, 2, 3}, {}, rng), 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(SampleToken({nan, -5, nan, -4}, {}, rng), 3);
  EXPECT_EQ(SampleToken({nan, nan}, {}, rng), 0);
  SamplingParams warm;
  warm.temperature = 1;
  EXPECT_EQ(SampleToken({-infinity, -infinity}, warm, rng), 0);
}

TEST(SamplingTest, DrawsByTheSoftmaxAtTheTemperature) {
  const std::vector<float> logits = {0.0f, std::log(2.0f), std::log(5.0f)};
  SamplingParams params;
  params.temperature = 1;
  std::vector<double> seen = Frequencies(logits, params);
  EXPECT_NEAR(seen[0], 1 / 8.0, 0.015);
  EXPECT_NEAR(seen[1], 2 / 8.0, 0.015);
  EXPECT_NEAR(seen[2], 5 / 8.0, 0.015);
  params.temperature = 0.5;  // squares the odds
  seen = Frequencies(logits, params);
  EXPECT_NEAR(seen[0], 1 / 30.0, 0.015);
  EXPECT_NEAR(seen[2], 25 / 30.0, 0.015);
}

TEST(SamplingTest, TopKAndTopPCutTheTail) {
  const std::vector<float> logits = {std::log(5.0f), 0.0f, std::log(4.0f)};
  SamplingParams params;
  params.temperature = 1;
  params.top_k = 2;
  std::vector<double> seen = Frequencies(logits, params);
  EXPECT_EQ(seen[1], 0);
  EXPECT_NEAR(seen[0], 5 / 9.0, 0.015);
  params.top_k = 0;
  params.top_p = 0.4;  // the first token alone has half
  EXPECT_EQ(Frequencies(logits, params)[0], 1);
  params.top_p = 0.6;
  seen = Frequencies(logits, params);
  EXPECT_EQ(seen[1], 0);
  EXPECT_NEAR(seen[2], 4 / 9.0, 0.015);
}

// Beside one that sorts everything, with more tokens than are sorted at once.
TEST(SamplingTest, TopPKeepsTheLeastThatReachesIt) {
  std::mt19937 random(5);
  std::vector<float> logits(3000);
  for (float& logit : logits) {
    logit = static_cast<float>(random() % 1000) / 500.0f;
  }
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit);
  for (const double top_p : {0.01, 0.3, 0.9, 0.9999}) {
    std::set<int32_t> kept;
    double reached = 0;
    for (const int32_t id : order) {
      if (reached >= (top_p + 1e-5) * sum) break;
      kept.insert(id);
      reached += std::exp(logits[id]);
    }
    SamplingParams params;
    params.temperature = 1;
    params.top_p = top_p;
    std::mt19937_64 rng(3);
    std::set<int32_t> seen;
    for (int i = 0; i < 2000; ++i) {
      const int32_t token = SampleToken(logits, params, rng);
      EXPECT_TRUE(kept.contains(token)) << top_p;
      seen.insert(token);
    }
    EXPECT_GT(seen.size(), std::min<size_t>(kept.size(), 2000) / 3) << top_p;
  }
}

TEST(SamplingTest, ATinyTemperatureIsGreedy) {
  SamplingParams params;
  params.temperature = 1e-300;
  std::mt19937_64 rng(1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(SampleToken({1, 3, 2, 3 - 1e-6f}, params, rng), 1);
  }
}

TEST(SamplingTest, TheSameSeedDrawsTheSame) {
  const std::vector<float> logits(50, 0.5f);
  SamplingParams params;
  params.temperature = 1;
  std::mt19937_64 a(9);
  std::mt19937_64 b(9);
  bool varied = false;
  int32_t first = -1;
  for (int i = 0; i < 100; ++i) {
    const int32_t token = SampleToken(logits, params, a);
    EXPECT_EQ(token, SampleToken(logits, params, b));
    if (first < 0) first = token;
    varied |= token != first;
  }
  EXPECT_TRUE(varied);
}

}  // namespace
}  // namespace braid::generation
