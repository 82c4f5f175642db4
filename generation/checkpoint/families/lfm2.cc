// LFM2: gated short convolutions, and attention with norms on queries and
// keys; a SwiGLU after each.
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

}  // namespace

absl::StatusOr<ModelSpec> Lfm2(ConfigReader& config,
                               const Checkpoint* checkpoint) {
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
  const int64_t intermediate = ReadIntermediate(config);
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
    layer.blocks.push_back(PreNormBlock(
        context.Norm(absl::StrCat(name, ".ffn_norm")),
        GatedMlp(context, absl::StrCat(name, ".feed_forward"), intermediate,
                 /*bias=*/false, {.gate = "w1", .up = "w3", .down = "w2"})));
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  const bool tied = config.Bool(
      config.Spelling({"tie_embedding", "tie_word_embeddings"}), true);
  AddEnds(context, {.final_norm = "model.embedding_norm.weight"}, tied, &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
