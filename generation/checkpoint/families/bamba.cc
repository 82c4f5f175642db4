// Bamba: Mamba-2, and a few attention layers that rotate half of each head;
// a SwiGLU after each.
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/families/rope.h"

namespace braid::model {
namespace {

AttentionSpec BambaAttention(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const HeadSizes sizes = ReadHeads(context);
  AttentionOptions options;
  options.qkv_bias = config.Bool("attention_bias", false);
  options.out_bias = options.qkv_bias;
  options.rope =
      ReadRope(config, sizes.head_dim, {.partial_rotary_factor = 0.5});
  return Attention(context, name, sizes, options);
}

}  // namespace

absl::StatusOr<ModelSpec> Bamba(ConfigReader& config,
                                const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context =
      ReadCommon(config, checkpoint,
                 {.absent_epsilon = 1e-5, .absent_max_tokens = 262144}, &spec);
  const std::set<int64_t> attention =
      ReadLayerSet(context, "attn_layer_indices");
  const int64_t intermediate = config.Int("intermediate_size", 1, kMaxWidth);
  const bool mlp_bias = config.Bool("mlp_bias", false);
  if (!context.ok()) return config.status();

  for (int64_t i = 0; i < context.layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    const RmsNormSpec norm =
        context.Norm(absl::StrCat(name, ".input_layernorm"));
    LayerSpec layer;
    if (attention.contains(i)) {
      layer.blocks.push_back(PreNormBlock(
          norm, BambaAttention(context, absl::StrCat(name, ".self_attn"))));
    } else {
      const int64_t inner =
          config.Int("mamba_expand", 1, 64, 2) * context.hidden;
      Mamba2Spec mamba = Mamba2(context, absl::StrCat(name, ".mamba"),
                                ReadBambaSizes(context, inner));
      ReadTimeStepLimit(config, &mamba);
      layer.blocks.push_back(PreNormBlock(norm, std::move(mamba)));
    }
    layer.blocks.push_back(
        PreNormBlock(context.Norm(absl::StrCat(name, ".pre_ff_layernorm")),
                     GatedMlp(context, absl::StrCat(name, ".feed_forward"),
                              intermediate, mlp_bias)));
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  AddEnds(context, {.final_norm = "model.final_layernorm.weight"},
          config.Bool("tie_word_embeddings", false), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
