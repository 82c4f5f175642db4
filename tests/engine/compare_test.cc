#include "generation/engine/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "generation/engine/model.h"
#include "tests/engine/make_tiny_model.h"

namespace braid::generation {
namespace {

using ::testing::HasSubstr;

std::vector<int32_t> RandomIds(const std::string& directory, size_t count) {
  const auto hybrid = HybridModel::Load(directory);
  EXPECT_TRUE(hybrid.ok()) << hybrid.status();
  std::mt19937 random(3);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; ++i) {
    ids.push_back(
        static_cast<int32_t>(random() % (*hybrid)->spec().vocab_size));
  }
  return ids;
}

TEST(CompareTest, AModelIsLikeItself) {
  const std::string directory = MakeTinyModel("llama");
  const auto report =
      CompareModels({.directory = directory}, {.directory = directory},
                    RandomIds(directory, 70), {.window = 32});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->positions, 70u);
  EXPECT_EQ(report->top1_agreement, 1);
  EXPECT_EQ(report->mean_kl, 0);
  EXPECT_EQ(report->max_kl, 0);
  EXPECT_EQ(report->perplexity, report->other_perplexity);
}

// By the definitions, over logits of one pass.
TEST(CompareTest, CountsAsTheDefinitionsSay) {
  const std::string directory = MakeTinyModel("llama");
  const std::vector<int32_t> ids = RandomIds(directory, 24);
  const auto logits_of = [&](model::WeightType weights) {
    const auto hybrid = HybridModel::Load(directory, weights);
    EXPECT_TRUE(hybrid.ok()) << hybrid.status();
    SequenceState state = (*hybrid)->NewState(kernels::KvType::kF32);
    model::Workspace workspace;
    std::vector<float> logits;
    EXPECT_TRUE((*hybrid)
                    ->Forward(ids, {.logits = LogitsOf::kAllTokens}, &state,
                              &workspace, &logits)
                    .ok());
    return logits;
  };
  const std::vector<float> p = logits_of(model::WeightType::kStored);
  const std::vector<float> q = logits_of(model::WeightType::kInt4);
  const size_t vocab = p.size() / ids.size();
  const auto probability = [&](const std::vector<float>& logits, size_t row,
                               size_t token) {
    double sum = 0;
    for (size_t i = 0; i < vocab; ++i) {
      sum += std::exp(double{logits[row * vocab + i]});
    }
    return std::exp(double{logits[row * vocab + token]}) / sum;
  };
  double kl = 0;
  double likelihood = 0;
  for (size_t row = 0; row < ids.size(); ++row) {
    for (size_t i = 0; i < vocab; ++i) {
      const double one = probability(p, row, i);
      kl += one * std::log(one / probability(q, row, i));
    }
    if (row + 1 < ids.size()) {
      likelihood +=
          std::log(probability(q, row, static_cast<size_t>(ids[row + 1])));
    }
  }
  const auto report = CompareModels(
      {.directory = directory},
      {.directory = directory, .weights = model::WeightType::kInt4}, ids, {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(report->mean_kl, 0);
  EXPECT_NEAR(report->mean_kl, kl / 24, 1e-6 + 1e-4 * kl / 24);
  EXPECT_GE(report->max_kl, report->mean_kl);
  EXPECT_NEAR(report->other_perplexity, std::exp(-likelihood / 23),
              1e-4 * report->other_perplexity);
}

TEST(CompareTest, SaysWhatDoesNotFit) {
  const std::string directory = MakeTinyModel("llama");
  EXPECT_THAT(std::string(CompareModels({.directory = directory},
                                        {.directory = directory}, {}, {})
                              .status()
                              .message()),
              HasSubstr("no text"));
  EXPECT_EQ(CompareModels({.directory = directory}, {.directory = "/absent"},
                          {1, 2}, {})
                .status()
                .code(),
            absl::StatusCode::kNotFound);
  CompareOptions stopped;
  stopped.progress = [](size_t) { return false; };
  EXPECT_EQ(CompareModels({.directory = directory}, {.directory = directory},
                          {1, 2}, stopped)
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace braid::generation
