// Granite 4.0-H: Mamba-2 and attention mixers, each followed by a shared SwiGLU
// and, in the MoE models, routed experts.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/families/rope.h"

namespace braid::model {
namespace {

AttentionSpec GraniteAttention(const Context& context,
                               const std::string& name) {
  ConfigReader& config = context.config;
  const HeadSizes sizes = ReadHeads(context);
  AttentionOptions options;
  options.scale = config.Number("attention_multiplier", 1.0);
  options.qkv_bias = config.Bool("attention_bias", false);
  options.out_bias = options.qkv_bias;
  const std::string positions =
      config.String("position_embedding_type", "nope");
  if (positions == "rope") {
    options.rope = ReadRope(config, sizes.head_dim);
  } else if (positions != "nope") {
    config.Unsupported("position_embedding_type",
                       absl::StrCat("\"", positions,
                                    "\" is not supported; nope and rope are"));
  }
  return Attention(context, name, sizes, options);
}

MoeSpec Experts(const Context& context, const std::string& name,
                int64_t experts) {
  MoeSpec moe;
  // The choice is the same as by the softmax over all.
  moe.router = SoftmaxRouter(
      context,
      context.PickPrefix(
          {absl::StrCat(name, ".router.layer"), absl::StrCat(name, ".router")},
          ".weight"),
      experts, /*normalize=*/false);
  moe.router.score = RouterSpec::Score::kSoftmaxOfChosen;
  moe.experts = StackedExperts(
      context,
      context.Pick({absl::StrCat(name, ".input_linear.weight"),
                    absl::StrCat(name, ".experts.gate_up_proj")}),
      context.Pick({absl::StrCat(name, ".output_linear.weight"),
                    absl::StrCat(name, ".experts.down_proj")}),
      experts, context.config.Int("intermediate_size", 1, kMaxWidth));
  return moe;
}

}  // namespace

absl::StatusOr<ModelSpec> GraniteMoeHybrid(ConfigReader& config,
                                           const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context = ReadCommon(config, checkpoint, {}, &spec);
  spec.embedding_multiplier = config.Number("embedding_multiplier", 1.0);
  spec.residual_multiplier = config.Number("residual_multiplier", 1.0);
  spec.logits_divisor = config.Number("logits_scaling", 1.0);
  if (spec.logits_divisor == 0) config.Fail("logits_scaling", "must not be 0");
  const std::vector<std::string> kinds =
      ReadKinds(context, config.Spelling({"layer_types", "layers_block_type"}),
                {"linear_attention", "full_attention"});
  const int64_t experts = ReadExperts(context, "num_local_experts", 0, 0);
  const int64_t shared =
      config.Int("shared_intermediate_size", 1, kMaxWidth, 1024);
  if (!context.ok()) return config.status();

  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    const RmsNormSpec norm =
        context.Norm(absl::StrCat(name, ".input_layernorm"));
    LayerSpec layer;
    if (kinds[i] == "full_attention") {
      layer.blocks.push_back(PreNormBlock(
          norm, GraniteAttention(context, absl::StrCat(name, ".self_attn"))));
    } else {
      const int64_t inner =
          config.Int("mamba_expand", 1, 64, 2) * context.hidden;
      Mamba2Spec mamba = Mamba2(context, absl::StrCat(name, ".mamba"),
                                ReadBambaSizes(context, inner));
      ReadTimeStepLimit(config, &mamba);
      layer.blocks.push_back(PreNormBlock(norm, std::move(mamba)));
    }
    layer.blocks.push_back(PreNormBlock(
        context.Norm(absl::StrCat(name, ".post_attention_layernorm")),
        FusedMlp(context, absl::StrCat(name, ".shared_mlp.input_linear"),
                 absl::StrCat(name, ".shared_mlp.output_linear"), shared)));
    if (experts > 0) {
      layer.blocks.back().branches.push_back(
          Experts(context, absl::StrCat(name, ".block_sparse_moe"), experts));
    }
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  AddEnds(context, {}, config.Bool("tie_word_embeddings", false), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
