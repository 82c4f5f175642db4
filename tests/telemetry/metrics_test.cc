#include "services/telemetry/metrics.h"

#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/telemetry/process_figures.h"
#include "tests/telemetry/exposition.h"

namespace braid::services::telemetry {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kRpcs = {"RetrievalService/Search",
                                        "AnswerService/Answer"};

class MetricsTest : public ::testing::Test {
 protected:
  Exposition Scrape(const std::vector<Reading>& readings = {}) {
    const std::string text = metrics_.Serialize(readings);
    auto parsed = ParseExposition(text);
    EXPECT_TRUE(parsed.ok()) << parsed.status() << "\n" << text;
    return parsed.ok() ? *std::move(parsed) : Exposition();
  }
  Metrics metrics_{kRpcs};
};

TEST_F(MetricsTest, EveryRpcIsThereFromTheStart) {
  const Exposition scraped = Scrape();
  for (const std::string& rpc : kRpcs) {
    EXPECT_EQ(scraped.samples.at(absl::StrCat(
                  "braid_rpc_requests_total{code=\"OK\",rpc=\"", rpc, "\"}")),
              0);
    EXPECT_EQ(scraped.samples.at(
                  absl::StrCat("braid_rpc_in_flight{rpc=\"", rpc, "\"}")),
              0);
  }
  EXPECT_EQ(scraped.types.at("braid_rpc_requests_total"), "counter");
  EXPECT_EQ(scraped.types.at("braid_rpc_duration_seconds"), "histogram");
  EXPECT_EQ(scraped.types.at("braid_rpc_in_flight"), "gauge");
}

TEST_F(MetricsTest, CallsAreCountedByCodeAndTime) {
  Metrics::Rpc* rpc = metrics_.FindRpc("RetrievalService/Search");
  for (int i = 0; i < 3; ++i) Metrics::BeginCall(rpc);
  metrics_.EndCall(rpc, absl::StatusCode::kOk, absl::Milliseconds(7));
  metrics_.EndCall(rpc, absl::StatusCode::kResourceExhausted,
                   absl::Microseconds(50));
  const Exposition scraped = Scrape();
  const auto value = [&](const char* name, const char* labels) {
    return scraped.samples.at(
        absl::StrCat(name, "{", labels, "rpc=\"RetrievalService/Search\"}"));
  };
  EXPECT_EQ(value("braid_rpc_requests_total", "code=\"OK\","), 1);
  EXPECT_EQ(value("braid_rpc_requests_total", "code=\"RESOURCE_EXHAUSTED\","),
            1);
  EXPECT_EQ(value("braid_rpc_in_flight", ""), 1);
  EXPECT_EQ(value("braid_rpc_duration_seconds_count", ""), 2);
  EXPECT_DOUBLE_EQ(value("braid_rpc_duration_seconds_sum", ""), .00705);
  const auto bucket = [&](const char* bound) {
    return scraped.samples.at(absl::StrCat(
        "braid_rpc_duration_seconds_bucket{rpc=\"RetrievalService/Search\",le="
        "\"",
        bound, "\"}"));
  };
  EXPECT_EQ(bucket("0.001"), 1);
  EXPECT_EQ(bucket("0.005"), 1);
  EXPECT_EQ(bucket("0.01"), 2);
  EXPECT_EQ(bucket("+Inf"), 2);
}

// What a client chooses must not become a time series.
TEST_F(MetricsTest, UnknownValuesOfLabelsAreOther) {
  const size_t before = Scrape().samples.size();
  for (int i = 0; i < 100; ++i) {
    const std::string name = absl::StrCat("canary-", i, "\"\n");
    metrics_.RecordStage(name, absl::Milliseconds(1));
    metrics_.CountDegraded(name);
    metrics_.CountAnswer(name);
    metrics_.CountIngested(name);
    EXPECT_EQ(metrics_.FindRpc(name), metrics_.FindRpc("other"));
  }
  const Exposition scraped = Scrape();
  EXPECT_EQ(scraped.samples.size(), before);
  EXPECT_EQ(scraped.samples.at("braid_answers_total{finish_reason=\"other\"}"),
            100);
  EXPECT_THAT(metrics_.Serialize({}), ::testing::Not(HasSubstr("canary")));
}

TEST_F(MetricsTest, EachKindIsCountedWhereItBelongs) {
  metrics_.RecordStage("bm25", absl::Microseconds(700));
  metrics_.CountDegraded("rerank");
  metrics_.CountAnswer("abstained");
  metrics_.CountGeneratedTokens(17);
  metrics_.CountGeneratedTokens(3);
  metrics_.CountIngested("created");
  const auto samples = Scrape().samples;
  EXPECT_EQ(samples.at("braid_stage_duration_seconds_count{stage=\"bm25\"}"),
            1);
  EXPECT_EQ(
      samples.at(
          "braid_stage_duration_seconds_bucket{stage=\"bm25\",le=\"0.001\"}"),
      1);
  EXPECT_EQ(
      samples.at(
          "braid_stage_duration_seconds_bucket{stage=\"bm25\",le=\"0.0005\"}"),
      0);
  EXPECT_EQ(samples.at("braid_degraded_total{stage=\"rerank\"}"), 1);
  EXPECT_EQ(samples.at("braid_answers_total{finish_reason=\"abstained\"}"), 1);
  EXPECT_EQ(samples.at("braid_generated_tokens_total"), 20);
  EXPECT_EQ(samples.at("braid_ingested_documents_total{outcome=\"created\"}"),
            1);
}

TEST_F(MetricsTest, ReadingsStandBesideThem) {
  const auto samples =
      Scrape({{"queue",
               "A queue.",
               Reading::Kind::kGauge,
               "pool",
               {{"one", 3}, {"two", 0.5}}},
              {"lost_total", "Lost.", Reading::Kind::kCounter, "", {{"", 7}}},
              {"build",
               "A build.",
               Reading::Kind::kGauge,
               "version",
               {{"a\"b\\c\nd", 1}}}})
          .samples;
  EXPECT_EQ(samples.at("queue{pool=\"one\"}"), 3);
  EXPECT_EQ(samples.at("queue{pool=\"two\"}"), 0.5);
  EXPECT_EQ(samples.at("lost_total"), 7);
  EXPECT_EQ(samples.at("build{version=\"a\\\"b\\\\c\\nd\"}"), 1);
}

TEST_F(MetricsTest, ManyThreadsLoseNothing) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 2000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Metrics::Rpc* rpc = metrics_.FindRpc("AnswerService/Answer");
      for (int j = 0; j < kCalls; ++j) {
        Metrics::BeginCall(rpc);
        metrics_.RecordStage("fuse", absl::Microseconds(10));
        metrics_.EndCall(rpc, static_cast<absl::StatusCode>(j % 17),
                         absl::Milliseconds(1));
        if (j % 500 == 0) Scrape();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto samples = Scrape().samples;
  double ended = 0;
  for (const auto& [name, value] : samples) {
    if (absl::StrContains(name, "requests_total") &&
        absl::StrContains(name, "AnswerService/Answer")) {
      ended += value;
    }
  }
  EXPECT_EQ(ended, kThreads * kCalls);
  EXPECT_EQ(samples.at("braid_rpc_in_flight{rpc=\"AnswerService/Answer\"}"), 0);
  EXPECT_EQ(samples.at("braid_stage_duration_seconds_count{stage=\"fuse\"}"),
            kThreads * kCalls);
}

TEST(ProcessFigures, AreOfThisProcess) {
  EXPECT_GT(ResidentBytes(), 1u << 20);
  EXPECT_GT(OpenFileDescriptors(), 2u);
  const double cpu = CpuSeconds();
  volatile double sum = 0;
  while (CpuSeconds() < cpu + .01) sum = sum + 1;
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LE(StartTimeSeconds(), now + 2);
  EXPECT_GT(StartTimeSeconds(), now - 3600);
}

}  // namespace
}  // namespace braid::services::telemetry
