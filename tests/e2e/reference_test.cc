// Against figures and logits that were made by other implementations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/braid_binary.h"

namespace braid::testing {
namespace {

const std::filesystem::path kShared = BRAID_SHARED_DIR;

// Baselines of ../shared/data/README.md, nDCG@10 on MultiHop-RAG's evidence.
TEST(Reference, RetrievalQualityOfMultiHopRag) {
  const std::filesystem::path dataset = kShared / "data" / "multihoprag_ev";
  if (!std::filesystem::exists(dataset)) {
    GTEST_SKIP() << dataset << " is not there";
  }
  const Output output =
      RunBraid({"eval", "--dataset", dataset.string(), "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const Json report = output.LastJson();
  EXPECT_EQ(report["judged"], 223);
  EXPECT_EQ(report["index"]["rows"], 438);
  EXPECT_NEAR(report["runs"]["bm25"]["ndcg@10"].get<double>(), 0.7702, 0.01);
  EXPECT_NEAR(report["runs"]["dense"]["ndcg@10"].get<double>(), 0.6722, 0.01);
  EXPECT_GE(report["runs"]["rrf"]["ndcg@10"].get<double>(), 0.7812 - 0.01);
  EXPECT_GE(report["runs"]["fused"]["ndcg@10"].get<double>(), 0.8040 - 0.01);
}

class ReferenceModel : public ::testing::TestWithParam<const char*> {};

TEST_P(ReferenceModel, VerifiesAndBenchmarks) {
  const std::filesystem::path model =
      kShared / "reference" / "tiny" / GetParam();
  if (!std::filesystem::exists(model)) {
    GTEST_SKIP() << model << " is not there";
  }
  const Output verify = RunBraid({"model", "verify", model.string(), "--json"});
  ASSERT_EQ(verify.exit_code, 0) << verify.out << verify.err;
  const Json report = verify.LastJson();
  EXPECT_EQ(report["ok"], true);
  EXPECT_EQ(report["greedy_equal"], true);
  EXPECT_LE(report["max_abs_logit_error"], 2e-3);

  const Output inspect =
      RunBraid({"model", "inspect", model.string(), "--json"});
  ASSERT_EQ(inspect.exit_code, 0) << inspect.err;
  EXPECT_GT(inspect.LastJson()["parameters"], 0);

  const Output bench =
      RunBraid({"bench", "generate", "--model", model.string(), "--prompt",
                "8,16", "--depth", "0,20", "--gen", "4", "--threads", "1",
                "--weights", "f32", "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  EXPECT_EQ(bench.JsonLines().size(), 5u);
  const Json rows = bench.LastJson()["rows"];
  ASSERT_EQ(rows.size(), 4u);
  for (const Json& row : rows) {
    EXPECT_GT(row["prefill_tokens_per_second"], 0.0);
    EXPECT_GT(row["decode_tokens_per_second"], 0.0);
    EXPECT_GT(row["cpu_seconds"], 0.0);
    EXPECT_GT(row["peak_rss_bytes"], 0);
    EXPECT_GT(row["floor_ratio"], 0.0);
    // The memory of a sequence is known before it starts.
    EXPECT_EQ(row["state_bytes"], row["predicted_bytes"]);
  }
}

INSTANTIATE_TEST_SUITE_P(Granite, ReferenceModel,
                         ::testing::Values("granite_moe", "granite_dense"));

TEST(ModelVerify, FailsWhereThereIsNothingToVerify) {
  const ScratchDirectory scratch;
  const Output output =
      RunBraid({"model", "verify", scratch / "absent", "--json"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_EQ(output.LastJson()["ok"], false);
}

}  // namespace
}  // namespace braid::testing
