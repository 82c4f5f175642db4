// Qwen3-Next and Qwen3.5: Gated DeltaNet and gated attention, with dense or
// routed SwiGLUs. Their norms store w - 1, but for the gated one.
#include <optional>
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

AttentionSpec GatedAttention(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const HeadSizes sizes = ReadHeads(context, 256);
  if (!config.Bool("attn_output_gate", true)) {
    config.Unsupported("attn_output_gate", "must be true");
  }
  AttentionOptions options;
  options.qkv_bias = config.Bool("attention_bias", false);
  options.out_bias = options.qkv_bias;
  // Sections of it for the axes of images are the same for text.
  options.rope =
      ReadRope(config, sizes.head_dim, {.partial_rotary_factor = 0.25});
  options.q_norm = "q_norm";
  options.k_norm = "k_norm";
  options.output_gate = true;
  return Attention(context, name, sizes, options);
}

void AppendRows(int64_t first, int64_t count, std::vector<int64_t>* order) {
  for (int64_t i = 0; i < count; ++i) order->push_back(first + i);
}

// Qwen3-Next stores, for each key head, [q, k, v, z] and then [b, a] of the
// value heads it serves. We want all q, then all k, and so on.
void SortInterleavedRows(const Context& context, DeltaNetSpec* delta) {
  const int64_t served = delta->value_heads / delta->key_heads;
  const int64_t values = served * delta->value_dim;
  const int64_t parts[] = {delta->key_dim, delta->key_dim, values, values};
  const int64_t stride = 2 * delta->key_dim + 2 * values;
  const int64_t ba = delta->key_heads * stride;
  if (!CheckRowOrder(context, "linear_num_value_heads",
                     ba + 2 * delta->value_heads)) {
    return;
  }
  std::vector<int64_t>* order = &delta->in.row_order;
  int64_t offset = 0;
  for (const int64_t part : parts) {
    for (int64_t h = 0; h < delta->key_heads; ++h) {
      AppendRows(h * stride + offset, part, order);
    }
    offset += part;
  }
  for (const int64_t start : {int64_t{0}, served}) {
    for (int64_t h = 0; h < delta->key_heads; ++h) {
      AppendRows(ba + 2 * h * served + start, served, order);
    }
  }
}

DeltaNetSpec DeltaNet(const Context& context, const std::string& name,
                      bool interleaved) {
  DeltaNetSpec delta = ReadDeltaNet(context);
  if (!context.ok()) return delta;
  const int64_t values = delta.value_width();
  const int64_t heads = delta.value_heads;
  const int64_t hidden = context.hidden;
  if (interleaved) {
    delta.in =
        Stack({Linear(absl::StrCat(name, ".in_proj_qkvz"),
                      delta.conv_channels() + values, hidden),
               Linear(absl::StrCat(name, ".in_proj_ba"), 2 * heads, hidden)});
    SortInterleavedRows(context, &delta);
  } else {
    delta.in = Stack({Linear(absl::StrCat(name, ".in_proj_qkv"),
                             delta.conv_channels(), hidden),
                      Linear(absl::StrCat(name, ".in_proj_z"), values, hidden),
                      Linear(absl::StrCat(name, ".in_proj_b"), heads, hidden),
                      Linear(absl::StrCat(name, ".in_proj_a"), heads, hidden)});
  }
  delta.conv_weights = {Tensor(absl::StrCat(name, ".conv1d.weight"),
                               {delta.conv_channels(), 1, delta.conv_kernel})};
  delta.a_log = Tensor(absl::StrCat(name, ".A_log"), {heads});
  delta.dt_bias = Tensor(absl::StrCat(name, ".dt_bias"), {heads});
  delta.norm =
      Norm(absl::StrCat(name, ".norm"), delta.value_dim, context.epsilon);
  delta.out = Linear(absl::StrCat(name, ".out_proj"), hidden, values);
  return delta;
}

// Routed experts, and a shared one that is gated by a number of its own.
void AddExperts(const Context& context, const std::string& name, bool normalize,
                BlockSpec* block) {
  ConfigReader& config = context.config;
  const int64_t experts = ReadExperts(context, "num_experts", 1);
  const int64_t intermediate =
      config.Int("moe_intermediate_size", 1, kMaxWidth, 512);
  const int64_t shared =
      config.Int("shared_expert_intermediate_size", 1, kMaxWidth, 512);
  if (!context.ok()) return;
  MoeSpec moe;
  moe.router =
      SoftmaxRouter(context, absl::StrCat(name, ".gate"), experts, normalize);
  moe.experts = GatedExperts(context, absl::StrCat(name, ".experts"), experts,
                             intermediate);
  block->branches.push_back(std::move(moe));
  MlpSpec mlp = GatedMlp(context, absl::StrCat(name, ".shared_expert"), shared);
  mlp.output_gate =
      Linear(absl::StrCat(name, ".shared_expert_gate"), 1, context.hidden);
  block->branches.push_back(std::move(mlp));
}

// Where the variants differ.
struct Variant {
  bool interleaved = false;
  bool normalize = true;    // the weights of the routed experts
  std::set<int64_t> dense;  // layers without experts
  std::string root = "model";
  bool tied = false;
};

absl::Status AddLayers(const Context& context, const Variant& variant,
                       ModelSpec* spec) {
  ConfigReader& config = context.config;
  const int64_t interval =
      config.Int("full_attention_interval", 1, kMaxLayers, 4);
  const std::vector<std::string> kinds =
      config.Find("layer_types") != nullptr
          ? ReadKinds(context, "layer_types",
                      {"linear_attention", "full_attention"})
          : MakeKinds(context, [interval](int64_t i) {
              return (i + 1) % interval == 0;
            });
  for (size_t i = 0; i < kinds.size() && context.ok(); ++i) {
    const std::string name = absl::StrCat(variant.root, ".layers.", i);
    const RmsNormSpec norm =
        context.Norm(absl::StrCat(name, ".input_layernorm"));
    LayerSpec layer;
    if (kinds[i] == "full_attention") {
      layer.blocks.push_back(PreNormBlock(
          norm, GatedAttention(context, absl::StrCat(name, ".self_attn"))));
    } else {
      layer.blocks.push_back(PreNormBlock(
          norm, DeltaNet(context, absl::StrCat(name, ".linear_attn"),
                         variant.interleaved)));
    }
    BlockSpec ffn;
    ffn.pre_norm =
        context.Norm(absl::StrCat(name, ".post_attention_layernorm"));
    const std::string mlp = absl::StrCat(name, ".mlp");
    if (variant.dense.contains(static_cast<int64_t>(i))) {
      ffn.branches.push_back(GatedMlp(
          context, mlp, config.Int("intermediate_size", 1, kMaxWidth)));
    } else {
      AddExperts(context, mlp, variant.normalize, &ffn);
    }
    layer.blocks.push_back(std::move(ffn));
    spec->layers.push_back(std::move(layer));
  }
  AddEnds(context,
          {absl::StrCat(variant.root, ".embed_tokens.weight"),
           absl::StrCat(variant.root, ".norm.weight")},
          variant.tied, spec);
  spec->ignored_tensors.push_back("mtp.");
  return config.status();
}

Context ReadQwen(ConfigReader& config, const Checkpoint* checkpoint,
                 ModelSpec* spec) {
  Context context =
      ReadCommon(config, checkpoint, {.absent_max_tokens = 32768}, spec);
  context.weight_offset = 1;
  return context;
}

// Also inside the wrapper with a vision tower, which nests the fields and the
// names of the language model; the tower itself is left alone.
absl::StatusOr<ModelSpec> ReadQwen35(ConfigReader& outer,
                                     const Checkpoint* checkpoint, bool moe) {
  std::optional<ConfigReader> part = outer.Part("text_config");
  ModelSpec spec;
  ReadQuantizationInto(outer, &spec);
  if (!outer.status().ok()) return outer.status();
  ConfigReader& config = part.has_value() ? *part : outer;
  const Context context = ReadQwen(config, checkpoint, &spec);
  Variant variant;
  for (int64_t i = 0; !moe && i < context.layers; ++i) variant.dense.insert(i);

  const std::string nested = "model.language_model";
  const std::string flat = "model";
  variant.root =
      part.has_value()
          ? context.PickPrefix({nested, flat}, ".embed_tokens.weight")
          : context.PickPrefix({flat, nested}, ".embed_tokens.weight");
  // The wrapper and its part may disagree; then the file knows.
  variant.tied = outer.Bool("tie_word_embeddings",
                            config.Bool("tie_word_embeddings", false));
  if (part.has_value() && checkpoint != nullptr) {
    variant.tied = checkpoint->Find("lm_head.weight") == nullptr;
  }
  const absl::Status status = AddLayers(context, variant, &spec);
  if (!outer.status().ok()) return outer.status();
  if (!status.ok()) return status;
  spec.ignored_tensors.push_back("model.visual.");
  return spec;
}

}  // namespace

absl::StatusOr<ModelSpec> Qwen3Next(ConfigReader& config,
                                    const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context = ReadQwen(config, checkpoint, &spec);
  Variant variant;
  variant.interleaved = true;
  variant.normalize = config.Bool("norm_topk_prob", true);
  variant.tied = config.Bool("tie_word_embeddings", false);
  variant.dense = ReadLayerSet(context, "mlp_only_layers");
  const int64_t step = config.Int("decoder_sparse_step", 1, kMaxLayers, 1);
  const bool routed = ReadExperts(context, "num_experts", 0) > 0;
  for (int64_t i = 0; i < context.layers; ++i) {
    if (!routed || (i + 1) % step != 0) variant.dense.insert(i);
  }
  const absl::Status status = AddLayers(context, variant, &spec);
  if (!status.ok()) return status;
  return spec;
}

absl::StatusOr<ModelSpec> Qwen35(ConfigReader& config,
                                 const Checkpoint* checkpoint) {
  return ReadQwen35(config, checkpoint, /*moe=*/false);
}

absl::StatusOr<ModelSpec> Qwen35Moe(ConfigReader& config,
                                    const Checkpoint* checkpoint) {
  return ReadQwen35(config, checkpoint, /*moe=*/true);
}

}  // namespace braid::model
