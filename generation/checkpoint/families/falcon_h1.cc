// Falcon-H1: Mamba-2 and attention side by side on the same input, then a
// SwiGLU. Its many multipliers are folded into the linear maps they touch.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/families/rope.h"

namespace braid::model {
namespace {

void ScaleRows(double scale, LinearSpec* linear) {
  linear->row_scales = {{linear->out(), scale}};
}

// As many numbers as `count`; ones if the field is absent.
std::vector<double> ReadMultipliers(ConfigReader& config, const char* field,
                                    size_t count) {
  std::vector<double> numbers = config.Numbers(field);
  if (config.Find(field) != nullptr && numbers.size() != count) {
    config.Fail(field, absl::StrCat("must have ", count, " numbers"));
  }
  numbers.resize(count, 1.0);
  return numbers;
}

AttentionSpec FalconAttention(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const HeadSizes sizes = ReadHeads(context);
  AttentionOptions options;
  options.qkv_bias = config.Bool("attention_bias", false);
  options.out_bias = options.qkv_bias;
  options.rope = ReadRope(config, sizes.head_dim);
  AttentionSpec attention = Attention(context, name, sizes, options);
  attention.qkv.in_scale = config.Number("attention_in_multiplier", 1.0);
  attention.qkv.row_scales = {
      {attention.q_width(), 1.0},
      {attention.kv_width(), config.Number("key_multiplier", 1.0)},
      {attention.kv_width(), 1.0}};
  ScaleRows(config.Number("attention_out_multiplier", 1.0), &attention.out);
  return attention;
}

Mamba2Spec FalconMamba(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const int64_t inner =
      config.IsNull("mamba_d_ssm")
          ? config.Int("mamba_expand", 1, 64, 2) * context.hidden
          : config.Int("mamba_d_ssm", 1, kMaxWidth, 1024);
  Mamba2Sizes sizes = ReadBambaSizes(context, inner);
  sizes.out_bias = config.Bool("projectors_bias", false);
  Mamba2Spec mamba = Mamba2(context, name, sizes);
  ReadTimeStepLimit(config, &mamba);
  if (!config.Bool("mamba_rms_norm", false)) mamba.norm.reset();
  mamba.norm_before_gate = config.Bool("mamba_norm_before_gate", true);

  const std::vector<double> scales =
      ReadMultipliers(config, "ssm_multipliers", 5);
  const int64_t bc = mamba.groups * mamba.state_dim;
  mamba.in.in_scale = config.Number("ssm_in_multiplier", 1.0);
  mamba.in.row_scales = {{mamba.inner(), scales[0]},
                         {mamba.inner(), scales[1]},
                         {bc, scales[2]},
                         {bc, scales[3]},
                         {mamba.heads, scales[4]}};
  ScaleRows(config.Number("ssm_out_multiplier", 1.0), &mamba.out);
  return mamba;
}

}  // namespace

absl::StatusOr<ModelSpec> FalconH1(ConfigReader& config,
                                   const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context =
      ReadCommon(config, checkpoint,
                 {.absent_epsilon = 1e-5, .absent_max_tokens = 8192}, &spec);
  spec.embedding_multiplier = config.Number("embedding_multiplier", 1.0);
  const int64_t intermediate = config.Int("intermediate_size", 1, kMaxWidth);
  const bool mlp_bias = config.Bool("mlp_bias", false);
  const std::vector<double> mlp_scales =
      ReadMultipliers(config, "mlp_multipliers", 2);
  if (!context.ok()) return config.status();

  for (int64_t i = 0; i < context.layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    LayerSpec layer;
    layer.blocks.push_back(
        PreNormBlock(context.Norm(absl::StrCat(name, ".input_layernorm")),
                     FalconMamba(context, absl::StrCat(name, ".mamba"))));
    layer.blocks.back().branches.push_back(
        FalconAttention(context, absl::StrCat(name, ".self_attn")));
    MlpSpec mlp = GatedMlp(context, absl::StrCat(name, ".feed_forward"),
                           intermediate, mlp_bias);
    mlp.up.row_scales = {{intermediate, mlp_scales[0]}, {intermediate, 1.0}};
    ScaleRows(mlp_scales[1], &mlp.down);
    layer.blocks.push_back(PreNormBlock(
        context.Norm(absl::StrCat(name, ".pre_ff_layernorm")), std::move(mlp)));
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  AddEnds(context, {.final_norm = "model.final_layernorm.weight"},
          config.Bool("tie_word_embeddings", false), &spec);
  ScaleRows(config.Number("lm_head_multiplier", 1.0), &spec.head);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
