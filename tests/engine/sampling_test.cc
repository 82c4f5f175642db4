#include "generation/engine/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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
