// Jamba: Mamba-1 with norms on the time step, B and C, and attention without
// positions; a SwiGLU or routed SwiGLUs after each.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"

namespace braid::model {
namespace {

// Which layers, counted from 0, are of the rarer kind.
struct Rhythm {
  int64_t period = 1;
  int64_t offset = 0;
  bool Has(int64_t layer) const { return layer % period == offset; }
};

Rhythm ReadRhythm(ConfigReader& config, const char* period, int64_t absent,
                  const char* offset, int64_t absent_offset) {
  Rhythm rhythm;
  rhythm.period = config.Int(period, 1, kMaxLayers, absent);
  rhythm.offset = config.Int(offset, 0, kMaxLayers, absent_offset);
  if (rhythm.offset >= rhythm.period) {
    config.Fail(offset, absl::StrCat("must be below ", period));
  }
  return rhythm;
}

Mamba1Spec Mamba(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  Mamba1Sizes sizes;
  sizes.inner = config.Int("mamba_expand", 1, 64, 2) * context.hidden;
  sizes.state_dim = config.Int("mamba_d_state", 1, kMaxWidth, 16);
  sizes.dt_rank = ReadTimeStepRank(context, "mamba_dt_rank");
  sizes.conv_kernel = config.Int("mamba_d_conv", 1, kMaxConvKernel, 4);
  sizes.conv_bias = config.Bool("mamba_conv_bias", true);
  sizes.bias = config.Bool("mamba_proj_bias", false);
  RequireSilu(config, "hidden_act");
  Mamba1Spec mamba = Mamba1(context, name, sizes);
  mamba.dt_norm =
      Norm(absl::StrCat(name, ".dt_layernorm"), sizes.dt_rank, context.epsilon);
  mamba.b_norm = Norm(absl::StrCat(name, ".b_layernorm"), sizes.state_dim,
                      context.epsilon);
  mamba.c_norm = Norm(absl::StrCat(name, ".c_layernorm"), sizes.state_dim,
                      context.epsilon);
  return mamba;
}

}  // namespace

absl::StatusOr<ModelSpec> Jamba(ConfigReader& config,
                                const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context =
      ReadCommon(config, checkpoint, {.absent_max_tokens = 262144}, &spec);
  const Rhythm attention =
      ReadRhythm(config, "attn_layer_period", 8, "attn_layer_offset", 4);
  const Rhythm expert =
      ReadRhythm(config, "expert_layer_period", 2, "expert_layer_offset", 1);
  const int64_t experts = ReadExperts(context, "num_experts", 1, 16);
  const int64_t intermediate = config.Int("intermediate_size", 1, kMaxWidth);
  if (!context.ok()) return config.status();

  for (int64_t i = 0; i < context.layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    const RmsNormSpec norm =
        context.Norm(absl::StrCat(name, ".input_layernorm"));
    LayerSpec layer;
    if (attention.Has(i)) {
      layer.blocks.push_back(PreNormBlock(
          norm, Attention(context, absl::StrCat(name, ".self_attn"),
                          ReadHeads(context), {})));
    } else {
      layer.blocks.push_back(
          PreNormBlock(norm, Mamba(context, absl::StrCat(name, ".mamba"))));
    }
    const std::string ffn = absl::StrCat(name, ".feed_forward");
    const RmsNormSpec ffn_norm =
        context.Norm(absl::StrCat(name, ".pre_ff_layernorm"));
    if (expert.Has(i) && experts > 1) {
      MoeSpec moe;
      moe.router = SoftmaxRouter(context, absl::StrCat(ffn, ".router"), experts,
                                 /*normalize=*/false);
      moe.experts = GatedExperts(context, absl::StrCat(ffn, ".experts"),
                                 experts, intermediate);
      layer.blocks.push_back(PreNormBlock(ffn_norm, std::move(moe)));
    } else {
      layer.blocks.push_back(
          PreNormBlock(ffn_norm, GatedMlp(context, ffn, intermediate)));
    }
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  AddEnds(context, {.final_norm = "model.final_layernorm.weight"},
          config.Bool("tie_word_embeddings", false), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
