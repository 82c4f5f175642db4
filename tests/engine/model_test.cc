#include "generation/engine/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "generation/checkpoint/json_file.h"
#include "generation/engine/inspect.h"
#include "generation/engine/sampling.h"
#include "generation/engine/verify.h"
#include "kernels/thread_pool.h"
#include "tests/engine/make_tiny_model.h"

namespace braid::generation {
namespace {

namespace fs = std::filesystem;
using kernels::KvType;

std::vector<int32_t> RandomPrompt(size_t length, int32_t vocab, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < length; ++i) ids.push_back(rng() % vocab);
  return ids;
}

std::unique_ptr<HybridModel> LoadTiny(const std::string& name) {
  auto loaded = HybridModel::Load(MakeTinyModel(name));
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : nullptr;
}

class TinyModelTest : public testing::TestWithParam<std::string> {};

// The golden was computed by Hugging Face transformers.
TEST_P(TinyModelTest, EqualsTransformers) {
  auto report = VerifyCheckpoint(MakeTinyModel(GetParam()), KvType::kF32);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok);
  EXPECT_LE(report->max_abs_logit_error, 1e-3);
  EXPECT_EQ(report->max_abs_pieces_error, 0.0);
  EXPECT_TRUE(report->greedy_equal);
  EXPECT_EQ(report->greedy_tokens, 12u);
  EXPECT_GE(report->logits_compared, 180u);
  EXPECT_EQ(report->layer_errors.size(),
            LoadTiny(GetParam())->spec().layers.size());
  for (const double error : report->layer_errors) EXPECT_LE(error, 1e-3);
}

// The logits of a prompt that comes in pieces of these sizes, repeated until
// the end.
std::vector<float> InPieces(const HybridModel& hybrid,
                            absl::Span<const int32_t> prompt,
                            const std::vector<size_t>& sizes, KvType kv,
                            kernels::ThreadPool* pool) {
  model::Workspace workspace;
  workspace.pool = pool;
  SequenceState state = hybrid.NewState(kv);
  ForwardOptions options;
  options.logits = LogitsOf::kAllTokens;
  std::vector<float> joined;
  std::vector<float> logits;
  for (size_t i = 0; state.tokens < prompt.size(); ++i) {
    const auto piece = prompt.subspan(state.tokens, sizes[i % sizes.size()]);
    EXPECT_TRUE(
        hybrid.Forward(piece, options, &state, &workspace, &logits).ok());
    joined.insert(joined.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(state.tokens, prompt.size());
  return joined;
}

TEST_P(TinyModelTest, AnyCutOfThePromptGivesTheSameBits) {
  const auto hybrid = LoadTiny(GetParam());
  ASSERT_NE(hybrid, nullptr);
  const std::vector<int32_t> prompt =
      RandomPrompt(150, hybrid->spec().vocab_size, 1);
  kernels::ThreadPool pool(2);
  for (const KvType kv : {KvType::kF32, KvType::kF16, KvType::kInt8}) {
    SCOPED_TRACE(kernels::KvTypeName(kv));
    const std::vector<float> whole =
        InPieces(*hybrid, prompt, {prompt.size()}, kv, nullptr);
    for (const size_t size : {1, 7, 64}) {
      EXPECT_EQ(InPieces(*hybrid, prompt, {size}, kv, &pool), whole)
          << "pieces of " << size;
    }
    if (kv != KvType::kF16) continue;  // every cut with one of them
    for (size_t cut = 1; cut < prompt.size(); ++cut) {
      EXPECT_EQ(
          InPieces(*hybrid, prompt, {cut, prompt.size() - cut}, kv, nullptr),
          whole)
          << "cut at " << cut;
    }
  }
}

TEST_P(TinyModelTest, ACopyOfTheStateIsASnapshot) {
  const auto hybrid = LoadTiny(GetParam());
  ASSERT_NE(hybrid, nullptr);
  const std::vector<int32_t> prompt =
      RandomPrompt(50, hybrid->spec().vocab_size, 3);
  model::Workspace workspace;
  SequenceState state = hybrid->NewState(KvType::kF32);
  std::vector<float> logits;
  ASSERT_TRUE(hybrid->Forward(prompt, {}, &state, &workspace, &logits).ok());
  SequenceState snapshot = state;
  std::vector<float> first;
  std::vector<float> second;
  ASSERT_TRUE(hybrid->Forward({7}, {}, &state, &workspace, &first).ok());
  ASSERT_TRUE(hybrid->Forward({9}, {}, &state, &workspace, &logits).ok());
  ASSERT_TRUE(hybrid->Forward({7}, {}, &snapshot, &workspace, &second).ok());
  EXPECT_EQ(first, second);
}

TEST_P(TinyModelTest, StateBytesAreKnownBeforehand) {
  const auto hybrid = LoadTiny(GetParam());
  ASSERT_NE(hybrid, nullptr);
  for (const KvType kv : {KvType::kF32, KvType::kF16, KvType::kInt8}) {
    model::Workspace workspace;
    SequenceState state = hybrid->NewState(kv);
    std::vector<float> logits;
    ASSERT_TRUE(hybrid
                    ->Forward(RandomPrompt(137, hybrid->spec().vocab_size, 4),
                              {}, &state, &workspace, &logits)
                    .ok());
    uint64_t bytes = 0;
    for (const model::OperatorState& part : state.operators) {
      if (const auto* cache = std::get_if<kernels::KvCache>(&part)) {
        EXPECT_EQ(cache->shape().type, kv);
        bytes += cache->bytes();
      } else if (const auto* past = std::get_if<model::RecurrentState>(&part)) {
        bytes += 4 * (past->conv.size() + past->recurrent.size() +
                      past->angles.size());
      }
    }
    EXPECT_EQ(bytes, hybrid->state_bytes(kv).For(137));
  }
}

TEST_P(TinyModelTest, InspectCountsWhatIsThere) {
  const std::string directory = MakeTinyModel(GetParam());
  auto report = InspectCheckpoint(directory, KvType::kF32);
  ASSERT_TRUE(report.ok()) << report.status();
  auto golden = model::ReadJsonObject(directory + "/reference.json", 1 << 24);
  ASSERT_TRUE(golden.ok());
  EXPECT_EQ(report->parameters, (*golden)["parameters"].get<uint64_t>());
  auto hybrid = HybridModel::Load(directory);
  ASSERT_TRUE(hybrid.ok());
  EXPECT_EQ(report->recurrent_state_bytes,
            (*hybrid)->state_bytes(KvType::kF32).recurrent);
  EXPECT_EQ(report->kv_bytes_per_token,
            (*hybrid)->state_bytes(KvType::kF32).kv_per_token);
  EXPECT_EQ(report->layers, (*hybrid)->spec().layers.size());
  const model::ModelSpec& spec = (*hybrid)->spec();
  EXPECT_EQ(report->active_parameters < report->parameters,
            report->operators.contains("moe") ||
                spec.head.weights[0].name != spec.embedding.name);
  EXPECT_EQ(report->weights, "f32");
  EXPECT_EQ(report->weight_bytes, 4 * report->parameters);
  EXPECT_EQ(report->active_weight_bytes, 4 * report->active_parameters);
  ASSERT_EQ(report->contexts.size(), 4u);
  for (const ContextCost& cost : report->contexts) {
    EXPECT_EQ(cost.state_bytes,
              (*hybrid)->state_bytes(KvType::kF32).For(cost.tokens));
    EXPECT_GT(cost.transformer_bytes, 0u);
  }
}

TEST(InspectTest, CountsExpertsAndLayers) {
  auto report = InspectCheckpoint(MakeTinyModel("granite_moe"), KvType::kF32);
  ASSERT_TRUE(report.ok()) << report.status();
  // Two of four experts of (24 + 12) x 32 weights rest, in three layers.
  EXPECT_EQ(report->active_parameters,
            report->parameters - 3 * 2 * (24 * 32 + 32 * 12));
  const std::map<std::string, uint32_t> expected = {
      {"attention", 1}, {"mamba2", 2}, {"mlp", 3}, {"moe", 3}};
  EXPECT_EQ(report->operators, expected);
  // Two keys of 8 numbers and two values of 8, padded to 16, per token and
  // attention layer.
  EXPECT_EQ(report->contexts[0].tokens, 4096u);
  EXPECT_EQ(report->contexts[0].transformer_bytes,
            3 * 4096 * 2 * (8 + 16) * sizeof(float));
}

INSTANTIATE_TEST_SUITE_P(Models, TinyModelTest, testing::ValuesIn(TinyModels()),
                         [](const auto& instance) { return instance.param; });

TEST(ModelTest, RefusesTokensOutsideTheVocabulary) {
  const auto hybrid = LoadTiny("granite_moe");
  ASSERT_NE(hybrid, nullptr);
  model::Workspace workspace;
  SequenceState state = hybrid->NewState(KvType::kF32);
  std::vector<float> logits;
  for (const int32_t id : {-1, 267, 1 << 30}) {
    EXPECT_EQ(hybrid->Forward({id}, {}, &state, &workspace, &logits).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(hybrid->Forward({}, {}, &state, &workspace, &logits).code(),
            absl::StatusCode::kInvalidArgument);
  ForwardOptions stopped;
  stopped.stop = [] { return true; };
  EXPECT_EQ(hybrid->Forward({1}, stopped, &state, &workspace, &logits).code(),
            absl::StatusCode::kCancelled);
}

TEST(VerifyTest, EqualsTheSharedReferences) {
  const fs::path root = fs::path(BRAID_SHARED_DIR) / "reference" / "tiny";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  int models = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    auto report = VerifyCheckpoint(entry.path().string(), KvType::kF32);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->ok) << entry.path();
    EXPECT_LE(report->max_abs_logit_error, 2e-3) << entry.path();
    EXPECT_EQ(report->max_abs_pieces_error, 0.0) << entry.path();
    EXPECT_TRUE(report->greedy_equal) << entry.path();
    EXPECT_EQ(report->tokenizer_cases, report->tokenizer_cases_equal);
    EXPECT_EQ(report->tokenizer_cases, 8u);
    ++models;
  }
  EXPECT_EQ(models, 17);
}

// What smaller keys and values cost, where logits spread by 1 to 2.
TEST(VerifyTest, SmallerCachesChangeLogitsLittle) {
  const fs::path root = fs::path(BRAID_SHARED_DIR) / "reference" / "tiny";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  for (const auto& entry : fs::directory_iterator(root)) {
    auto exact = VerifyCheckpoint(entry.path().string(), KvType::kF32);
    auto half = VerifyCheckpoint(entry.path().string(), KvType::kF16);
    auto byte = VerifyCheckpoint(entry.path().string(), KvType::kInt8);
    ASSERT_TRUE(exact.ok() && half.ok() && byte.ok());
    EXPECT_LE(half->max_abs_logit_error, 6e-2) << entry.path();
    EXPECT_LE(half->rms_logit_error, 6e-3) << entry.path();
    // Eight bits change which experts are visited now and then.
    EXPECT_LE(byte->rms_logit_error, 0.15) << entry.path();
    EXPECT_EQ(half->max_abs_pieces_error, 0.0) << entry.path();
    EXPECT_EQ(byte->max_abs_pieces_error, 0.0) << entry.path();
    // The types are really other ones, unless nothing attends.
    auto report = InspectCheckpoint(entry.path().string(), KvType::kF16);
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->kv_bytes_per_token > 0,
              half->rms_logit_error != exact->rms_logit_error &&
                  byte->rms_logit_error > half->rms_logit_error)
        << entry.path();
  }
}

TEST(VerifyTest, FindsAWrongModel) {
  auto weights = TinyWeights("granite_moe");
  // A twentieth of one bias is enough to be seen.
  for (float& value : weights["model.layers.2.mamba.conv1d.bias"].values) {
    value *= 1.05f;
  }
  const std::string directory =
      WriteTinyModel("wrong", TinyConfig("granite_moe"), weights);
  fs::copy_file(MakeTinyModel("granite_moe") + "/reference.json",
                directory + "/reference.json");
  auto report = VerifyCheckpoint(directory, KvType::kF32);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->ok);
  EXPECT_GT(report->max_abs_logit_error, 1e-3);
  ASSERT_GE(report->layer_errors.size(), 2u);
  EXPECT_LE(report->layer_errors[1], 1e-3);  // the layers before are right
}

TEST(VerifyTest, RefusesMalformedReferences) {
  const std::string directory = MakeTinyModel("granite_moe");
  const std::string path = directory + "/reference.json";
  auto golden = model::ReadJsonObject(path, 1 << 24);
  ASSERT_TRUE(golden.ok());
  const std::vector<std::pair<std::string, nlohmann::json>> bad = {
      {"tolerance", -1},
      {"prompt_ids", {1, 2, 5000}},
      {"prompt_ids", nlohmann::json::array()},
      {"decode_ids", "x"},
      {"prefill_top5", {{{9999, 1.0}}}},
      {"prefill_top5", 3},
      {"prefill_full_positions", {{"100000", {1.0}}}},
      {"layer_out_last_pos", {{1.0}}},
      {"tokenizer_cases", {{1, 2}}}};
  for (const auto& [field, value] : bad) {
    nlohmann::json changed = *golden;
    changed[field] = value;
    std::ofstream(path) << changed.dump();
    const absl::Status status =
        VerifyCheckpoint(directory, KvType::kF32).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_NE(status.message().find(field), absl::string_view::npos) << status;
  }
  fs::remove(path);
  EXPECT_EQ(VerifyCheckpoint(directory, KvType::kF32).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace braid::generation
