// Granite 4.0-H: Mamba-2 and attention mixers, each followed by a shared SwiGLU
// and, in the MoE models, routed experts.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/family.h"

namespace braid::model {
namespace {

LinearSpec Linear(const std::string& name, int64_t out, int64_t in, bool bias) {
  LinearSpec linear;
  linear.in = in;
  linear.weights.push_back({absl::StrCat(name, ".weight"), {out, in}});
  if (bias) linear.biases.push_back({absl::StrCat(name, ".bias"), {out}});
  return linear;
}

// Several projections of the same input as one.
LinearSpec Stack(std::vector<LinearSpec> parts) {
  LinearSpec stacked;
  stacked.in = parts.front().in;
  for (LinearSpec& part : parts) {
    for (TensorSpec& weight : part.weights) stacked.weights.push_back(weight);
    for (TensorSpec& bias : part.biases) stacked.biases.push_back(bias);
  }
  return stacked;
}

struct Common {
  int64_t hidden = 0;
  double epsilon = 0;
};

AttentionSpec Attention(ConfigReader& config, const Common& common,
                        const std::string& name) {
  AttentionSpec attention;
  attention.heads = config.Int("num_attention_heads", 1, kMaxWidth);
  attention.kv_heads =
      config.Int("num_key_value_heads", 1, kMaxWidth, attention.heads);
  if (attention.heads % attention.kv_heads != 0) {
    config.Fail("num_key_value_heads", "must divide num_attention_heads");
  }
  if (config.Find("head_dim") == nullptr &&
      common.hidden % attention.heads != 0) {
    config.Fail("num_attention_heads", "must divide hidden_size");
  }
  attention.head_dim =
      config.Int("head_dim", 1, kMaxWidth, common.hidden / attention.heads);
  attention.scale = config.Number("attention_multiplier", 1.0);

  const std::string positions =
      config.String("position_embedding_type", "nope");
  if (positions == "rope") {
    RopeSpec rope;
    rope.dims = attention.head_dim;
    rope.theta = config.Number("rope_theta", 10000.0);
    for (const char* field : {"rope_parameters", "rope_scaling"}) {
      const nlohmann::json* parameters = config.Find(field);
      if (parameters == nullptr) continue;
      if (!parameters->is_object()) {
        config.Fail(field, "must be an object");
        continue;
      }
      ConfigReader inner(*parameters, absl::StrCat(config.path(), ": ", field));
      const std::string type =
          inner.String("rope_type", inner.String("type", "default"));
      rope.theta = inner.Number("rope_theta", rope.theta);
      if (!inner.status().ok()) {
        config.Fail(field, inner.status().message());
      } else if (type != "default") {
        config.Unsupported(field,
                           absl::StrCat("rope_type \"", type,
                                        "\" is not supported; default is"));
      }
    }
    if (!(rope.theta > 0)) config.Fail("rope_theta", "must be positive");
    if (rope.dims % 2 != 0) {
      config.Fail("position_embedding_type", "rope needs an even head size");
    }
    attention.rope = rope;
  } else if (positions != "nope") {
    config.Unsupported("position_embedding_type",
                       absl::StrCat("\"", positions,
                                    "\" is not supported; nope and rope are"));
  }

  const bool bias = config.Bool("attention_bias", false);
  const int64_t q = attention.heads * attention.head_dim;
  const int64_t kv = attention.kv_heads * attention.head_dim;
  attention.qkv =
      Stack({Linear(absl::StrCat(name, ".q_proj"), q, common.hidden, bias),
             Linear(absl::StrCat(name, ".k_proj"), kv, common.hidden, bias),
             Linear(absl::StrCat(name, ".v_proj"), kv, common.hidden, bias)});
  attention.out = Linear(absl::StrCat(name, ".o_proj"), common.hidden, q, bias);
  return attention;
}

Mamba2Spec Mamba(ConfigReader& config, const Common& common,
                 const std::string& name) {
  Mamba2Spec mamba;
  mamba.heads = config.Int("mamba_n_heads", 1, kMaxWidth);
  mamba.groups = config.Int("mamba_n_groups", 1, kMaxWidth, 1);
  mamba.state_dim = config.Int("mamba_d_state", 1, kMaxWidth, 256);
  mamba.conv_kernel = config.Int("mamba_d_conv", 1, 16, 4);
  const int64_t inner = config.Int("mamba_expand", 1, 64, 2) * common.hidden;
  const nlohmann::json* head_dim = config.Find("mamba_d_head");
  if (head_dim != nullptr && *head_dim != "auto") {
    mamba.head_dim = config.Int("mamba_d_head", 1, kMaxWidth);
  } else {
    mamba.head_dim = inner / mamba.heads;
  }
  if (mamba.heads * mamba.head_dim != inner) {
    config.Fail("mamba_d_head",
                absl::StrCat("mamba_n_heads * mamba_d_head must be ", inner,
                             " (mamba_expand * hidden_size)"));
  }
  if (mamba.heads % mamba.groups != 0) {
    config.Fail("mamba_n_groups", "must divide mamba_n_heads");
  }
  const auto [dt_min, dt_max] =
      config.Limits("time_step_limit", {mamba.dt_min, mamba.dt_max});
  mamba.dt_min = dt_min;
  mamba.dt_max = dt_max;

  const bool bias = config.Bool("mamba_proj_bias", false);
  const int64_t channels = mamba.conv_channels();
  mamba.in = Linear(absl::StrCat(name, ".in_proj"),
                    inner + channels + mamba.heads, common.hidden, bias);
  mamba.conv_weight = {absl::StrCat(name, ".conv1d.weight"),
                       {channels, 1, mamba.conv_kernel}};
  if (config.Bool("mamba_conv_bias", true)) {
    mamba.conv_bias =
        TensorSpec{absl::StrCat(name, ".conv1d.bias"), {channels}};
  }
  mamba.a_log = {absl::StrCat(name, ".A_log"), {mamba.heads}};
  mamba.d = {absl::StrCat(name, ".D"), {mamba.heads}};
  mamba.dt_bias = {absl::StrCat(name, ".dt_bias"), {mamba.heads}};
  mamba.norm = {{absl::StrCat(name, ".norm.weight"), {inner}}, common.epsilon};
  mamba.out =
      Linear(absl::StrCat(name, ".out_proj"), common.hidden, inner, bias);
  return mamba;
}

void FeedForward(ConfigReader& config, const Common& common,
                 const std::string& name, LayerSpec* layer) {
  MlpSpec mlp;
  mlp.intermediate = config.Int("shared_intermediate_size", 1, kMaxWidth);
  mlp.gate_up = Linear(absl::StrCat(name, ".shared_mlp.input_linear"),
                       2 * mlp.intermediate, common.hidden, false);
  mlp.down = Linear(absl::StrCat(name, ".shared_mlp.output_linear"),
                    common.hidden, mlp.intermediate, false);
  layer->mlp = std::move(mlp);

  const int64_t experts = config.Int("num_local_experts", 0, kMaxExperts, 0);
  if (experts == 0) return;
  MoeSpec moe;
  moe.experts = experts;
  moe.top_k = config.Int("num_experts_per_tok", 1, experts);
  moe.intermediate = config.Int("intermediate_size", 1, kMaxWidth);
  const std::string block = absl::StrCat(name, ".block_sparse_moe");
  moe.router = Linear(absl::StrCat(block, ".router.layer"), experts,
                      common.hidden, false);
  moe.gate_up = {absl::StrCat(block, ".input_linear.weight"),
                 {experts, 2 * moe.intermediate, common.hidden}};
  moe.down = {absl::StrCat(block, ".output_linear.weight"),
              {experts, common.hidden, moe.intermediate}};
  layer->moe = std::move(moe);
}

}  // namespace

absl::StatusOr<ModelSpec> GraniteMoeHybrid(ConfigReader& config) {
  ModelSpec spec;
  Common common;
  common.hidden = config.Int("hidden_size", 1, kMaxWidth);
  common.epsilon = config.Number("rms_norm_eps", 1e-6);
  spec.hidden = common.hidden;
  spec.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  spec.max_context_tokens =
      config.Int("max_position_embeddings", 1, kMaxContext, 2048);
  spec.embedding_multiplier = config.Number("embedding_multiplier", 1.0);
  spec.residual_multiplier = config.Number("residual_multiplier", 1.0);
  spec.logits_divisor = config.Number("logits_scaling", 1.0);
  if (spec.logits_divisor == 0) config.Fail("logits_scaling", "must not be 0");
  if (!(common.epsilon > 0)) config.Fail("rms_norm_eps", "must be positive");
  const std::string activation = config.String("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    config.Unsupported(
        "hidden_act",
        absl::StrCat("\"", activation, "\" is not supported; silu is"));
  }
  if (config.Find("quantization_config") != nullptr) {
    config.Unsupported("quantization_config",
                       "quantised checkpoints are not supported");
  }

  const int64_t layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  const char* kinds_field = config.Find("layer_types") == nullptr &&
                                    config.Find("layers_block_type") != nullptr
                                ? "layers_block_type"
                                : "layer_types";
  const std::vector<std::string> kinds = config.Strings(kinds_field);
  if (static_cast<int64_t>(kinds.size()) != layers) {
    config.Fail(kinds_field,
                absl::StrCat("has ", kinds.size(),
                             " entries, but num_hidden_layers is ", layers));
  }
  if (!config.status().ok()) return config.status();

  spec.embedding = {"model.embed_tokens.weight",
                    {spec.vocab_size, spec.hidden}};
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    LayerSpec layer;
    layer.mixer_norm = {
        {absl::StrCat(name, ".input_layernorm.weight"), {spec.hidden}},
        common.epsilon};
    layer.ffn_norm = {
        {absl::StrCat(name, ".post_attention_layernorm.weight"), {spec.hidden}},
        common.epsilon};
    // Two spellings: that of the hub, and that of newer writers.
    if (kinds[i] == "attention" || kinds[i] == "full_attention") {
      layer.mixer = Attention(config, common, absl::StrCat(name, ".self_attn"));
    } else if (kinds[i] == "mamba" || kinds[i] == "linear_attention") {
      layer.mixer = Mamba(config, common, absl::StrCat(name, ".mamba"));
    } else {
      config.Unsupported(
          kinds_field,
          absl::StrCat("\"", kinds[i],
                       "\" is not supported; mamba and attention are"));
    }
    FeedForward(config, common, name, &layer);
    if (!config.status().ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  spec.final_norm = {{"model.norm.weight", {spec.hidden}}, common.epsilon};
  if (config.Bool("tie_word_embeddings", false)) {
    spec.head.in = spec.hidden;
    spec.head.weights = {spec.embedding};
    // Some writers store the tied head a second time.
    spec.ignored_tensors.push_back("lm_head.weight");
  } else {
    spec.head = Linear("lm_head", spec.vocab_size, spec.hidden, false);
  }
  if (!config.status().ok()) return config.status();
  return spec;
}

}  // namespace braid::model
