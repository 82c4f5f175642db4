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
    EXPECT_NEAR(got.mean.ndcg_10, mean["ndcg@10"].get<double>(), 1e-9);
    EXPECT_NEAR(got.mean.recall_100, mean["recall@100"].get<double>(), 1e-9);
    EXPECT_NEAR(got.mean.mrr_10, mean["mrr@10"].get<double>(), 1e-9);
    EXPECT_NEAR(got.mean.hits_4, mean["hits@4"].get<double>(), 1e-9);
    EXPECT_NEAR(got.mean.hits_10, mean["hits@10"].get<double>(), 1e-9);
    EXPECT_NEAR(got.mean.map_10, mean["map@10"].get<double>(), 1e-9);
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
