// The reranker that comes with Braid.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fusion/rerank/cross_encoder.h"
#include "tests/steady.h"

namespace braid::fusion {
namespace {

using Json = nlohmann::json;

constexpr const char* kModel = BRAID_SOURCE_DIR "/fusion/rerank/braid-reranker";

std::vector<Json> JsonLines(const std::string& path) {
  std::ifstream file(std::string(BRAID_SOURCE_DIR "/tests/") + path);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) {
    rows.push_back(Json::parse(line));
  }
  EXPECT_FALSE(rows.empty()) << path;
  return rows;
}

std::vector<float> Score(const CrossEncoder& reranker, const Json& question) {
  std::vector<std::string> titles;
  std::vector<std::string> texts;
  for (const Json& passage : question["passages"]) {
    titles.push_back(passage["title"]);
    texts.push_back(passage["text"]);
  }
  std::vector<RerankInput> inputs;
  for (size_t i = 0; i < texts.size(); ++i) {
    inputs.push_back({titles[i], texts[i]});
  }
  const auto logits = reranker.Score(question["question"].get<std::string>(),
                                     inputs, kNever, std::stop_token());
  EXPECT_TRUE(logits.ok()) << logits.status();
  return logits.ok() ? *logits : std::vector<float>();
}

// In 8 bits here, in f32 there.
TEST(ShippedRerankerTest, ScoresAsTransformersDoes) {
  const auto reranker = CrossEncoder::Load(kModel, {.threads = 2});
  ASSERT_TRUE(reranker.ok()) << reranker.status();
  const std::vector<Json> questions = JsonLines("seed/data/questions.jsonl");
  const std::vector<Json> golden = JsonLines("rerank/data/logits_golden.jsonl");
  ASSERT_EQ(questions.size(), golden.size());
  double squares = 0;
  double worst = 0;
  size_t count = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::vector<float> logits = Score(**reranker, questions[i]);
    const auto expected = golden[i]["logits"].get<std::vector<float>>();
    ASSERT_EQ(logits.size(), expected.size());
    for (size_t j = 0; j < logits.size(); ++j) {
      const double difference = logits[j] - expected[j];
      squares += difference * difference;
      worst = std::max(worst, std::abs(difference));
      ++count;
    }
  }
  std::printf("rms %.3f, worst %.3f\n", std::sqrt(squares / count), worst);
  EXPECT_LT(std::sqrt(squares / count), 0.15);
  EXPECT_LT(worst, 0.6);
}

TEST(ShippedRerankerTest, BringsItsCalibration) {
  const auto reranker = CrossEncoder::Load(kModel, {.threads = 2});
  ASSERT_TRUE(reranker.ok()) << reranker.status();
  const RerankCalibration& calibration = (*reranker)->calibration();
  EXPECT_GT(calibration.scale, 0);
  EXPECT_GT(calibration.fused_weight, calibration.scale);
  EXPECT_LT(calibration.bias, 0);
}

TEST(ShippedRerankerTest, IsSmallEnoughToShip) {
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(kModel)) {
    bytes += file.file_size();
  }
  EXPECT_LE(bytes, uint64_t{24} << 20);
}

}  // namespace
}  // namespace braid::fusion
