// Plain transformers, to compare the hybrids with: Llama, Mistral, Mixtral,
// Qwen2, Qwen3 (dense and routed) and Granite 3.
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/families/rope.h"

namespace braid::model {
namespace {

// Where they differ.
struct Variant {
  enum class Bias { kNone, kByConfig, kQkvOnly };
  Bias attention_bias = Bias::kByConfig;
  bool mlp_bias = false;  // by config
  bool qk_norm = false;
  int64_t absent_head_dim = 0;
  double theta = 10000;
  int64_t absent_max_tokens = 2048;
  // Of the routed experts; null: all layers are dense.
  const char* experts = nullptr;
  const char* experts_intermediate = nullptr;
  // Mixtral's names, and weights that are always normalised.
  bool mixtral = false;
  // A window that is only on with use_sliding_window.
  bool switched_window = false;
  bool window = false;
};

// Rejects a window that is shorter than the context.
void CheckWindow(ConfigReader& config, const Variant& variant,
                 int64_t max_context) {
  if (!variant.window) return;
  if (variant.switched_window && !config.Bool("use_sliding_window", false)) {
    return;
  }
  const int64_t window =
      config.Int("sliding_window", 1, kMaxContext, max_context);
  if (window < max_context) {
    config.Unsupported(
        "sliding_window",
        absl::StrCat("a window of ", window, " tokens in a context of ",
                     max_context, " is not supported"));
  }
}

AttentionSpec PlainAttention(const Context& context, const Variant& variant,
                             const std::string& name) {
  ConfigReader& config = context.config;
  const HeadSizes sizes = ReadHeads(context, variant.absent_head_dim);
  AttentionOptions options;
  switch (variant.attention_bias) {
    case Variant::Bias::kNone:
      break;
    case Variant::Bias::kQkvOnly:
      options.qkv_bias = true;
      break;
    case Variant::Bias::kByConfig:
      options.qkv_bias = config.Bool("attention_bias", false);
      options.out_bias = options.qkv_bias;
      break;
  }
  if (variant.qk_norm) {
    options.q_norm = "q_norm";
    options.k_norm = "k_norm";
  }
  options.rope = ReadRope(config, sizes.head_dim, {.theta = variant.theta});
  return Attention(context, name, sizes, options);
}

MoeSpec Experts(const Context& context, const Variant& variant,
                const std::string& layer, int64_t experts) {
  ConfigReader& config = context.config;
  const int64_t intermediate =
      config.Int(variant.experts_intermediate, 1, kMaxWidth);
  const bool normalize =
      variant.mixtral || config.Bool("norm_topk_prob", false);
  std::string name = absl::StrCat(layer, ".mlp");
  MlpNames names;
  if (variant.mixtral) {
    names = {.gate = "w1", .up = "w3", .down = "w2"};
    name = context.PickPrefix({absl::StrCat(layer, ".block_sparse_moe"), name},
                              ".gate.weight");
  }
  MoeSpec moe;
  moe.router =
      SoftmaxRouter(context, absl::StrCat(name, ".gate"), experts, normalize);
  moe.experts = GatedExperts(context, absl::StrCat(name, ".experts"), experts,
                             intermediate, names);
  return moe;
}

absl::StatusOr<ModelSpec> Transformer(ConfigReader& config,
                                      const Checkpoint* checkpoint,
                                      const Variant& variant) {
  ModelSpec spec;
  const Context context =
      ReadCommon(config, checkpoint,
                 {.absent_max_tokens = variant.absent_max_tokens}, &spec);
  CheckWindow(config, variant, spec.max_context_tokens);
  const int64_t experts =
      variant.experts == nullptr
          ? 0
          : ReadExperts(context,
                        config.Spelling({variant.experts, "num_experts",
                                         "num_local_experts"}),
                        0);
  const std::set<int64_t> dense = ReadLayerSet(context, "mlp_only_layers");
  const int64_t step = config.Int("decoder_sparse_step", 1, kMaxLayers, 1);
  const bool mlp_bias = variant.mlp_bias && config.Bool("mlp_bias", false);
  if (!context.ok()) return config.status();

  for (int64_t i = 0; i < context.layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    LayerSpec layer;
    layer.blocks.push_back(PreNormBlock(
        context.Norm(absl::StrCat(name, ".input_layernorm")),
        PlainAttention(context, variant, absl::StrCat(name, ".self_attn"))));
    const RmsNormSpec norm =
        context.Norm(absl::StrCat(name, ".post_attention_layernorm"));
    if (experts > 0 && !dense.contains(i) && (i + 1) % step == 0) {
      layer.blocks.push_back(
          PreNormBlock(norm, Experts(context, variant, name, experts)));
    } else {
      layer.blocks.push_back(PreNormBlock(
          norm,
          GatedMlp(context, absl::StrCat(name, ".mlp"),
                   config.Int("intermediate_size", 1, kMaxWidth), mlp_bias)));
    }
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  AddEnds(context, {}, config.Bool("tie_word_embeddings", false), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace

absl::StatusOr<ModelSpec> Llama(ConfigReader& config,
                                const Checkpoint* checkpoint) {
  return Transformer(config, checkpoint, {.mlp_bias = true});
}

absl::StatusOr<ModelSpec> Mistral(ConfigReader& config,
                                  const Checkpoint* checkpoint) {
  return Transformer(config, checkpoint,
                     {.attention_bias = Variant::Bias::kNone,
                      .absent_max_tokens = 4096 * 32,
                      .window = true});
}

absl::StatusOr<ModelSpec> Mixtral(ConfigReader& config,
                                  const Checkpoint* checkpoint) {
  return Transformer(config, checkpoint,
                     {.attention_bias = Variant::Bias::kNone,
                      .theta = 1e6,
                      .absent_max_tokens = 4096 * 32,
                      .experts = "num_local_experts",
                      .experts_intermediate = "intermediate_size",
                      .mixtral = true,
                      .window = true});
}

absl::StatusOr<ModelSpec> Qwen2(ConfigReader& config,
                                const Checkpoint* checkpoint) {
  return Transformer(config, checkpoint,
                     {.attention_bias = Variant::Bias::kQkvOnly,
                      .absent_max_tokens = 32768,
                      .switched_window = true,
                      .window = true});
}

absl::StatusOr<ModelSpec> Qwen3(ConfigReader& config,
                                const Checkpoint* checkpoint) {
  return Transformer(config, checkpoint,
                     {.qk_norm = true,
                      .absent_head_dim = 128,
                      .absent_max_tokens = 32768,
                      .switched_window = true,
                      .window = true});
}

absl::StatusOr<ModelSpec> Qwen3Moe(ConfigReader& config,
                                   const Checkpoint* checkpoint) {
  return Transformer(config, checkpoint,
                     {.qk_norm = true,
                      .absent_max_tokens = 32768,
                      .experts = "num_experts",
                      .experts_intermediate = "moe_intermediate_size",
                      .switched_window = true,
                      .window = true});
}

absl::StatusOr<ModelSpec> Granite(ConfigReader& config,
                                  const Checkpoint* checkpoint) {
  absl::StatusOr<ModelSpec> spec =
      Transformer(config, checkpoint, {.mlp_bias = true});
  if (!spec.ok()) return spec;
  spec->embedding_multiplier = config.Number("embedding_multiplier", 1.0);
  spec->residual_multiplier = config.Number("residual_multiplier", 1.0);
  spec->logits_divisor = config.Number("logits_scaling", 1.0);
  if (spec->logits_divisor == 0) config.Fail("logits_scaling", "must not be 0");
  const double scale = config.Number("attention_multiplier", 1.0);
  for (LayerSpec& layer : spec->layers) {
    std::get<AttentionSpec>(layer.blocks[0].branches[0]).scale = scale;
  }
  if (!config.status().ok()) return config.status();
  return spec;
}

}  // namespace braid::model
