// Checkpoints that lie: every one gets a clear error before anything large is
// allocated.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/engine/generator.h"
#include "generation/engine/inspect.h"
#include "generation/engine/model.h"
#include "tests/engine/make_tiny_model.h"

namespace braid::generation {
namespace {

using nlohmann::json;

struct Hostile {
  const char* field;
  json value;
  const char* message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

TEST(HostileConfigTest, NamesTheField) {
  const json good = TinyConfig("granite_moe");
  const auto weights = TinyWeights("granite_moe");
  const auto unimplemented = absl::StatusCode::kUnimplemented;
  const std::vector<Hostile> cases = {
      {"model_type", "gpt2", "\"gpt2\" is not supported", unimplemented},
      {"model_type", 3, "model_type"},
      {"hidden_size", -32, "hidden_size"},
      {"hidden_size", 0, "hidden_size"},
      {"hidden_size", 1e18, "hidden_size"},
      {"hidden_size", "32", "hidden_size"},
      {"hidden_size", int64_t{1} << 62, "hidden_size"},
      {"hidden_size", uint64_t{1} << 63, "hidden_size"},
      {"hidden_size", nullptr, "hidden_size: is missing"},
      {"hidden_size", 48, "mamba_d_head"},
      {"vocab_size", int64_t{1} << 40, "vocab_size"},
      {"vocab_size", 1 << 24, "embed_tokens"},
      {"num_hidden_layers", 1 << 30, "num_hidden_layers"},
      {"num_hidden_layers", 4, "layer_types"},
      {"layer_types",
       {"mamba", "attention", "rwkv"},
       "\"rwkv\"",
       unimplemented},
      {"layer_types", {"mamba", "mamba", "mamba"}, "model.layers.1.mamba"},
      {"layer_types", "mamba", "layer_types"},
      {"layer_types", {1, 2, 3}, "layer_types"},
      {"num_attention_heads", 5, "num_attention_heads"},
      {"num_key_value_heads", 3, "num_key_value_heads"},
      {"num_attention_heads", 0, "num_attention_heads"},
      {"mamba_n_groups", 3, "mamba_n_groups"},
      {"mamba_d_head", 17, "mamba_d_head"},
      {"mamba_d_state", -8, "mamba_d_state"},
      {"mamba_d_state", 1 << 18, "shape"},
      {"mamba_d_conv", 1 << 20, "mamba_d_conv"},
      {"num_experts_per_tok", 5, "num_experts_per_tok"},
      {"num_experts_per_tok", 0, "num_experts_per_tok"},
      {"num_local_experts", 1 << 14, "router"},
      {"num_local_experts", 0, "unexpected"},
      {"rms_norm_eps", 0, "rms_norm_eps"},
      {"rms_norm_eps", "tiny", "rms_norm_eps"},
      {"logits_scaling", 0, "logits_scaling"},
      {"hidden_act", "gelu", "\"gelu\" is not supported", unimplemented},
      {"position_embedding_type", "alibi", "\"alibi\"", unimplemented},
      {"attention_bias", true, "q_proj.bias"},
      {"attention_bias", 1, "attention_bias"},
      {"mamba_conv_bias", false, "unexpected"},
      {"tie_word_embeddings", false, "lm_head.weight"},
      {"time_step_limit", {1.0, 0.0}, "time_step_limit"},
      {"time_step_limit", {0.0}, "time_step_limit"},
      {"quantization_config",
       {{"bits", 4}},
       "quantization_config",
       unimplemented},
      {"eos_token_id", -1, "eos_token_id"},
      {"max_position_embeddings", 0, "max_position_embeddings"}};
  for (const Hostile& test : cases) {
    json config = good;
    config[test.field] = test.value;
    const std::string directory = WriteTinyModel("hostile", config, weights);
    const absl::Status status = HybridModel::Load(directory).status();
    EXPECT_EQ(status.code(), test.code) << test.field << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), test.message))
        << test.field << " = " << test.value << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), directory)) << status;
    EXPECT_EQ(InspectCheckpoint(directory, kernels::KvType::kF16).status(),
              status);
  }
}

TEST(HostileConfigTest, AcceptsBothSpellings) {
  json config = TinyConfig("granite_moe");
  const auto weights = TinyWeights("granite_moe");
  config["layer_types"] = {"linear_attention", "full_attention",
                           "linear_attention"};
  config["time_step_limit"] = {0.0, 1e300};
  config["mamba_d_head"] = "auto";
  EXPECT_TRUE(
      HybridModel::Load(WriteTinyModel("spelling", config, weights)).ok());
  // Python writes the bare word.
  const std::string directory = WriteTinyModel("infinity", config, weights);
  std::string text = config.dump();
  text.replace(text.find("1e+300"), 6, "Infinity");
  std::ofstream(directory + "/config.json") << text;
  const absl::Status status = HybridModel::Load(directory).status();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(HostileConfigTest, ReadsEndTokens) {
  json config = TinyConfig("granite_moe");
  const auto weights = TinyWeights("granite_moe");
  config["eos_token_id"] = {2, 4};
  const std::string directory = WriteTinyModel("eos", config, weights);
  auto spec = model::LoadModelSpec(directory, nullptr);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->eos_ids, (std::vector<int32_t>{2, 4}));
  std::ofstream(directory + "/generation_config.json")
      << R"({"eos_token_id": 9})";
  EXPECT_EQ(model::LoadModelSpec(directory, nullptr)->eos_ids,
            std::vector<int32_t>{9});
  std::ofstream(directory + "/generation_config.json") << "{";
  EXPECT_TRUE(absl::StrContains(
      model::LoadModelSpec(directory, nullptr).status().message(),
      "generation_config.json"));
}

TEST(HostileTensorsTest, NamesTheTensor) {
  const json config = TinyConfig("granite_moe");
  const auto good = TinyWeights("granite_moe");
  const std::string name = "model.layers.1.self_attn.k_proj.weight";

  auto missing = good;
  missing.erase(name);
  absl::Status status =
      HybridModel::Load(WriteTinyModel("missing", config, missing)).status();
  EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "is missing")) << status;

  auto extra = good;
  extra["model.layers.1.self_attn.q_norm.weight"] = {{1}, {1}};
  status = HybridModel::Load(WriteTinyModel("extra", config, extra)).status();
  EXPECT_TRUE(
      absl::StrContains(status.message(), "q_norm.weight\" is unexpect"))
      << status;

  auto misshapen = good;
  misshapen[name].shape = {1,
                           misshapen[name].shape[0] * misshapen[name].shape[1]};
  status = HybridModel::Load(WriteTinyModel("misshapen", config, misshapen))
               .status();
  EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "shape")) << status;
}

// Weights that are not numbers make a useless model, but no crash.
TEST(HostileTensorsTest, SurvivesNotANumber) {
  const json config = TinyConfig("granite_moe");
  auto weights = TinyWeights("granite_moe");
  for (auto& [name, tensor] : weights) {
    for (float& value : tensor.values) value = NAN;
  }
  auto generator =
      Generator::Load(WriteTinyModel("not_a_number", config, weights), 1,
                      kernels::KvType::kF16);
  ASSERT_TRUE(generator.ok()) << generator.status();
  GenerationRequest request;
  request.input = "text";
  request.max_tokens = 5;
  auto result =
      (*generator)
          ->Generate(request, [](absl::string_view) { return true; }, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->completion_tokens, 5u);
}

}  // namespace
}  // namespace braid::generation
