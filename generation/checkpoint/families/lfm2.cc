// LFM2: gated short convolutions, and attention with norms on queries and
// keys; a SwiGLU after each, which in LFM2-MoE is routed but for the first
// layers.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/families/rope.h"

namespace braid::model {
namespace {

// The width of the feed-forward: two thirds of what the config says, times a
// factor, rounded up; unless the config says not to.
int64_t ReadIntermediate(ConfigReader& config) {
  int64_t width = config.Int(
      config.Spelling({"block_ff_dim", "intermediate_size"}), 1, kMaxWidth);
  if (!config.Bool("block_auto_adjust_ff_dim", true)) return width;
  width = 2 * width / 3;
  const char* factor_field = "block_ffn_dim_multiplier";
  if (config.IsNull(factor_field)) return width;
  const double factor = config.Number(factor_field, 1.0);
  const int64_t multiple = config.Int("block_multiple_of", 1, kMaxWidth, 256);
  const double scaled = factor * static_cast<double>(width);
  if (!(scaled >= 1 && scaled <= kMaxWidth)) {
    config.Fail(factor_field, "makes a feed-forward of an impossible width");
    return 1;
  }
  width = static_cast<int64_t>(scaled);
  return (width + multiple - 1) / multiple * multiple;
}

AttentionSpec LfmAttention(const Context& context, const std::string& name) {
  const HeadSizes sizes = ReadHeads(context);
  AttentionOptions options;
  options.out = "out_proj";
  options.q_norm = "q_layernorm";
  options.k_norm = "k_layernorm";
  options.rope = ReadRope(context.config, sizes.head_dim, {.theta = 1e6});
  return Attention(context, name, sizes, options);
}

ShortConvSpec ShortConv(const Context& context, const std::string& name) {
  const int64_t hidden = context.hidden;
  const bool bias = context.config.Bool("conv_bias", false);
  ShortConvSpec conv;
  conv.conv_kernel = context.config.Int("conv_L_cache", 1, kMaxConvKernel, 3);
  conv.in = Linear(absl::StrCat(name, ".in_proj"), 3 * hidden, hidden, bias);
  conv.conv_weight =
      Tensor(absl::StrCat(name, ".conv.weight"), {hidden, 1, conv.conv_kernel});
  if (bias) {
    conv.conv_bias = Tensor(absl::StrCat(name, ".conv.bias"), {hidden});
  }
  conv.out = Linear(absl::StrCat(name, ".out_proj"), hidden, hidden, bias);
  return conv;
}

const MlpNames kMlpNames = {.gate = "w1", .up = "w3", .down = "w2"};

MoeSpec Experts(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const int64_t experts = ReadExperts(context, "num_experts", 1);
  if (!context.ok()) return {};
  MoeSpec moe;
  moe.router.score = RouterSpec::Score::kSigmoid;
  moe.router.top_k = config.Int("num_experts_per_tok", 1, experts);
  if (config.Bool("use_expert_bias", true)) {
    moe.router.correction_bias =
        Tensor(absl::StrCat(name, ".expert_bias"), {experts});
  }
  moe.router.normalize = config.Bool("norm_topk_prob", true);
  moe.router.normalize_epsilon = 1e-6;
  moe.router.scale = config.Number("routed_scaling_factor", 1.0);
  moe.router.logits =
      Linear(absl::StrCat(name, ".gate"), experts, context.hidden);
  moe.experts = GatedExperts(context, absl::StrCat(name, ".experts"), experts,
                             config.Int("moe_intermediate_size", 1, kMaxWidth),
                             kMlpNames);
  return moe;
}

// The first `dense_layers` have a feed-forward of width `intermediate`, the
// others experts.
absl::StatusOr<ModelSpec> Lfm(ConfigReader& config,
                              const Checkpoint* checkpoint, bool experts) {
  ModelSpec spec;
  const Context context = ReadCommon(config, checkpoint,
                                     {.epsilon = "norm_eps",
                                      .absent_epsilon = 1e-5,
                                      .absent_max_tokens = 128000,
                                      .activation = nullptr},
                                     &spec);
  const std::set<int64_t> full = ReadLayerSet(context, "full_attn_idxs");
  const bool all_full = config.Find("full_attn_idxs") == nullptr;
  const std::vector<std::string> kinds =
      config.Find("layer_types") != nullptr
          ? ReadKinds(context, "layer_types", {"conv", "full_attention"})
          : MakeKinds(context, [&full, all_full](int64_t i) {
              return all_full || full.contains(i);
            });
  const int64_t intermediate =
      experts ? config.Int("intermediate_size", 1, kMaxWidth)
              : ReadIntermediate(config);
  const size_t dense_layers =
      experts ? config.Int("num_dense_layers", 0, kMaxLayers, 2) : kinds.size();
  if (!context.ok()) return config.status();

  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    const RmsNormSpec norm = context.Norm(absl::StrCat(name, ".operator_norm"));
    LayerSpec layer;
    if (kinds[i] == "full_attention") {
      layer.blocks.push_back(PreNormBlock(
          norm, LfmAttention(context, absl::StrCat(name, ".self_attn"))));
    } else {
      layer.blocks.push_back(
          PreNormBlock(norm, ShortConv(context, absl::StrCat(name, ".conv"))));
    }
    const std::string ffn = absl::StrCat(name, ".feed_forward");
    const RmsNormSpec ffn_norm = context.Norm(absl::StrCat(name, ".ffn_norm"));
    if (i < dense_layers) {
      layer.blocks.push_back(PreNormBlock(
          ffn_norm,
          GatedMlp(context, ffn, intermediate, /*bias=*/false, kMlpNames)));
    } else {
      layer.blocks.push_back(PreNormBlock(ffn_norm, Experts(context, ffn)));
    }
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  const bool tied = config.Bool(
      config.Spelling({"tie_embedding", "tie_word_embeddings"}), true);
  AddEnds(context, {.final_norm = "model.embedding_norm.weight"}, tied, &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace

absl::StatusOr<ModelSpec> Lfm2(ConfigReader& config,
                               const Checkpoint* checkpoint) {
  return Lfm(config, checkpoint, /*experts=*/false);
}

absl::StatusOr<ModelSpec> Lfm2Moe(ConfigReader& config,
                                  const Checkpoint* checkpoint) {
  return Lfm(config, checkpoint, /*experts=*/true);
}

}  // namespace braid::model
