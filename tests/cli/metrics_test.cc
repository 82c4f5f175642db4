#include "services/eval/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "services/eval/statistics.h"

namespace braid::services {
namespace {

// What trec_eval says of the same rankings: see make_metrics_golden.py.
TEST(Metrics, EqualsTrecEval) {
  std::ifstream file(BRAID_SOURCE_DIR "/tests/cli/data/metrics_golden.json");
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden.size(), 8u);
  for (const auto& one : golden) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const RunEvaluation got =
        EvaluateRun(one["run"].get<Rankings>(), one["qrels"].get<Qrels>());
    const auto& expected = one["expected"];
    EXPECT_EQ(got.judged, expected["judged"].get<size_t>());
    EXPECT_EQ(got.missing, expected["missing"].get<size_t>());
    const auto& mean = expected["mean"];
    ASSERT_EQ(mean.size(), MetricFields().size());
    for (const MetricField& field : MetricFields()) {
      EXPECT_NEAR(got.mean.*field.value, mean[field.name].get<double>(), 1e-9)
          << field.name;
    }
  }
}

TEST(Metrics, RepeatedDocumentsCountOnce) {
  const Judgements judgements = {{"a", 1}, {"b", 1}};
  const std::vector<std::string> repeated = {"a", "a", "a", "b"};
  const std::vector<std::string> once = {"a", "b"};
  const RankingMetrics got = EvaluateRanking(repeated, judgements);
  const RankingMetrics expected = EvaluateRanking(once, judgements);
  EXPECT_DOUBLE_EQ(got.ndcg_10, 1.0);
  EXPECT_DOUBLE_EQ(got.ndcg_10, expected.ndcg_10);
  EXPECT_DOUBLE_EQ(got.map_10, expected.map_10);
}

TEST(Metrics, KeepsTheScoresOfEveryJudgedQuery) {
  const Qrels qrels = {{"a", {{"d1", 1}, {"d2", 1}}},
                       {"b", {{"d1", 0}}},
                       {"c", {{"d9", 2}}},
                       {"d", {{"d1", 1}}}};
  std::vector<std::string> deep;
  for (int i = 0; i < 120; ++i) deep.push_back("x" + std::to_string(i));
  deep[60] = "d9";
  const RunEvaluation got = EvaluateRun(
      {{"a", {"x", "d2", "d1"}}, {"b", {"d1"}}, {"c", deep}}, qrels);
  EXPECT_EQ(JudgedQueries(qrels), (std::vector<std::string>{"a", "c", "d"}));
  ASSERT_EQ(got.scores.size(), 3u);
  EXPECT_EQ(got.scores[0].first_relevant, 2u);
  EXPECT_EQ(got.scores[0].metrics.all_10, 1.0);
  EXPECT_EQ(got.scores[1].first_relevant, 61u);
  EXPECT_EQ(got.scores[1].metrics.recall_50, 0.0);
  EXPECT_EQ(got.scores[1].metrics.recall_100, 1.0);
  EXPECT_EQ(got.scores[2].first_relevant, 0u);  // missing
  EXPECT_EQ(got.missing, 1u);
}

TEST(Percentiles, AreMeasuredValues) {
  std::vector<double> samples;
  for (int i = 100; i >= 1; --i) samples.push_back(i);
  const Percentiles percentiles = ComputePercentiles(samples);
  EXPECT_EQ(percentiles.p50, 50);
  EXPECT_EQ(percentiles.p95, 95);
  EXPECT_EQ(percentiles.p99, 99);
  EXPECT_EQ(ComputePercentiles({7}).p99, 7);
  EXPECT_EQ(ComputePercentiles({}).p50, 0);
}

}  // namespace
}  // namespace braid::services
