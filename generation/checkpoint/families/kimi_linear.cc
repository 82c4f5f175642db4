// Kimi Linear: Kimi delta attention and, here and there, latent attention
// without positions; a SwiGLU or routed SwiGLUs with a shared one after each.
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"

namespace braid::model {
namespace {

// The norms inside latent attention ignore rms_norm_eps.
constexpr double kLatentEpsilon = 1e-6;

// Sizes of the delta layers, and which layers they are: the fields of newer
// writers, or the hub's linear_attn_config, which counts layers from 1.
struct Linears {
  int64_t heads = 1;
  int64_t head_dim = 1;
  int64_t conv_kernel = 1;
  std::vector<std::string> kinds;
};

Linears ReadLinears(const Context& context) {
  ConfigReader& config = context.config;
  Linears linears;
  linears.heads = config.Int("linear_num_heads", 1, kMaxWidth, 32);
  linears.head_dim = config.Int("linear_head_dim", 1, kMaxWidth, 128);
  linears.conv_kernel =
      config.Int("linear_conv_kernel_dim", 1, kMaxConvKernel, 4);
  std::optional<ConfigReader> hub = config.Part("linear_attn_config");
  if (hub.has_value()) {
    linears.heads = hub->Int("num_heads", 1, kMaxWidth, linears.heads);
    linears.head_dim = hub->Int("head_dim", 1, kMaxWidth, linears.head_dim);
    linears.conv_kernel = hub->Int("short_conv_kernel_size", 1, kMaxConvKernel,
                                   linears.conv_kernel);
  }
  if (config.Find("layer_types") != nullptr) {
    linears.kinds = ReadKinds(context, "layer_types",
                              {"linear_attention", "full_attention"});
  } else if (hub.has_value() && hub->Find("full_attn_layers") != nullptr) {
    const std::vector<int64_t> list =
        hub->Ints("full_attn_layers", 1, context.layers);
    const std::set<int64_t> full(list.begin(), list.end());
    linears.kinds =
        MakeKinds(context, [&full](int64_t i) { return full.contains(i + 1); });
  } else {
    linears.kinds =
        MakeKinds(context, [](int64_t i) { return i > 0 && i % 4 == 0; });
  }
  if (hub.has_value()) config.Adopt(hub->status());
  Product(config, "linear_num_heads", linears.heads, linears.head_dim);
  return linears;
}

DeltaNetSpec DeltaAttention(const Context& context, const std::string& name,
                            const Linears& linears) {
  const int64_t hidden = context.hidden;
  const int64_t rank = linears.head_dim;
  DeltaNetSpec delta;
  delta.key_heads = delta.value_heads = linears.heads;
  delta.key_dim = delta.value_dim = linears.head_dim;
  delta.conv_kernel = linears.conv_kernel;
  delta.decay_per_key_channel = true;
  delta.sigmoid_gate = true;
  const int64_t width = delta.key_width();
  delta.in =
      Stack({Linear(absl::StrCat(name, ".q_proj"), width, hidden),
             Linear(absl::StrCat(name, ".k_proj"), width, hidden),
             Linear(absl::StrCat(name, ".v_proj"), width, hidden),
             Linear(absl::StrCat(name, ".g_a_proj"), rank, hidden),
             Linear(absl::StrCat(name, ".b_proj"), delta.value_heads, hidden),
             Linear(absl::StrCat(name, ".f_a_proj"), rank, hidden)});
  delta.z_up = Linear(absl::StrCat(name, ".g_b_proj"), width, rank);
  delta.a_up = Linear(absl::StrCat(name, ".f_b_proj"), width, rank);
  delta.conv_weights = SplitConvWeights(context, name, delta);
  delta.a_log =
      Tensor(absl::StrCat(name, ".A_log"), {1, 1, delta.value_heads, 1});
  if (context.checkpoint != nullptr) {
    const TensorView* view = context.checkpoint->Find(delta.a_log.name);
    if (view != nullptr && view->shape.size() == 1) {
      delta.a_log.shape = {delta.value_heads};
    }
  }
  delta.dt_bias = Tensor(absl::StrCat(name, ".dt_bias"), {width});
  delta.norm =
      Norm(absl::StrCat(name, ".o_norm"), delta.value_dim, context.epsilon);
  delta.out = Linear(absl::StrCat(name, ".o_proj"), hidden, width);
  return delta;
}

MlaSpec LatentAttention(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const int64_t hidden = context.hidden;
  const bool bias = config.Bool("attention_bias", false);
  if (!config.Bool("mla_use_nope", true)) {
    config.Unsupported("mla_use_nope", "must be true");
  }
  MlaSpec mla;
  mla.heads = config.Int("num_attention_heads", 1, kMaxWidth);
  mla.rank = config.Int("kv_lora_rank", 1, kMaxWidth, 512);
  mla.nope_dim = config.Int("qk_nope_head_dim", 1, kMaxWidth, 128);
  mla.rope_dim = config.Int("qk_rope_head_dim", 0, kMaxWidth, 64);
  mla.value_dim = config.Int("v_head_dim", 1, kMaxWidth, 128);
  if (config.Int("num_key_value_heads", 1, kMaxWidth, mla.heads) != mla.heads) {
    config.Unsupported("num_key_value_heads", "must be num_attention_heads");
  }
  const int64_t dim = mla.nope_dim + mla.rope_dim;
  const int64_t queries =
      Product(config, "num_attention_heads", mla.heads, dim);
  const int64_t values =
      Product(config, "v_head_dim", mla.heads, mla.value_dim);
  mla.scale = 1 / std::sqrt(static_cast<double>(dim));
  if (config.Find("q_lora_rank") != nullptr) {
    const int64_t rank = config.Int("q_lora_rank", 1, kMaxWidth);
    mla.q_down = Linear(absl::StrCat(name, ".q_a_proj"), rank, hidden, bias);
    mla.q_norm =
        Norm(absl::StrCat(name, ".q_a_layernorm"), rank, kLatentEpsilon);
    mla.q = Linear(absl::StrCat(name, ".q_b_proj"), queries, rank);
  } else {
    mla.q = Linear(absl::StrCat(name, ".q_proj"), queries, hidden);
  }
  mla.kv_down = Linear(absl::StrCat(name, ".kv_a_proj_with_mqa"),
                       mla.rank + mla.rope_dim, hidden, bias);
  mla.kv_norm =
      Norm(absl::StrCat(name, ".kv_a_layernorm"), mla.rank, kLatentEpsilon);
  mla.kv_up = Linear(absl::StrCat(name, ".kv_b_proj"),
                     mla.heads * mla.nope_dim + values, mla.rank);
  mla.out = Linear(absl::StrCat(name, ".o_proj"), hidden, values, bias);
  return mla;
}

std::vector<bool> ReadDense(const Context& context) {
  ConfigReader& config = context.config;
  std::vector<bool> dense;
  if (config.Find("mlp_layer_types") != nullptr) {
    for (const std::string& kind :
         ReadKinds(context, "mlp_layer_types", {"dense", "sparse"})) {
      dense.push_back(kind == "dense");
    }
    return dense;
  }
  const int64_t first = config.Int("first_k_dense_replace", 0, kMaxLayers, 1);
  if (config.Int("moe_layer_freq", 1, kMaxLayers, 1) != 1) {
    config.Unsupported("moe_layer_freq", "must be 1");
  }
  for (int64_t i = 0; i < context.layers; ++i) dense.push_back(i < first);
  return dense;
}

void AddExperts(const Context& context, const std::string& name,
                BlockSpec* block) {
  ConfigReader& config = context.config;
  const int64_t experts = ReadExperts(
      context, config.Spelling({"num_experts", "num_local_experts"}), 1);
  const int64_t intermediate =
      config.Int("moe_intermediate_size", 1, kMaxWidth);
  const int64_t shared =
      config.Int(config.Spelling({"num_shared_experts", "n_shared_experts"}), 1,
                 kMaxExperts, 1);
  if (config.String("moe_router_activation_func", "sigmoid") != "sigmoid") {
    config.Unsupported("moe_router_activation_func", "must be sigmoid");
  }
  if (!context.ok()) return;
  MoeSpec moe;
  moe.router = GroupedRouter(
      context, absl::StrCat(name, ".gate"), experts,
      {.top_k =
           config.Spelling({"num_experts_per_token", "num_experts_per_tok"}),
       .groups = config.Spelling({"num_expert_group", "n_group"}),
       .normalize = config.Spelling({"moe_renormalize", "norm_topk_prob"})});
  moe.experts =
      GatedExperts(context, absl::StrCat(name, ".experts"), experts,
                   intermediate, {.gate = "w1", .up = "w3", .down = "w2"});
  block->branches.push_back(std::move(moe));
  block->branches.push_back(
      GatedMlp(context, absl::StrCat(name, ".shared_experts"),
               Product(config, "moe_intermediate_size", intermediate, shared)));
}

}  // namespace

absl::StatusOr<ModelSpec> KimiLinear(ConfigReader& config,
                                     const Checkpoint* checkpoint) {
  ModelSpec spec;
  const char* max_tokens = "model_max_length";
  if (config.Find(max_tokens) == nullptr) {
    max_tokens = "max_position_embeddings";
  }
  const Context context = ReadCommon(config, checkpoint,
                                     {.absent_epsilon = 1e-5,
                                      .max_tokens = max_tokens,
                                      .absent_max_tokens = 1 << 20},
                                     &spec);
  RequireSilu(config, "hidden_act");
  const Linears linears = ReadLinears(context);
  const std::vector<bool> dense = ReadDense(context);
  if (!context.ok()) return config.status();

  for (int64_t i = 0; i < context.layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    const std::string attention = absl::StrCat(name, ".self_attn");
    LayerSpec layer;
    const RmsNormSpec norm =
        context.Norm(absl::StrCat(name, ".input_layernorm"));
    if (linears.kinds[i] == "full_attention") {
      layer.blocks.push_back(
          PreNormBlock(norm, LatentAttention(context, attention)));
    } else {
      layer.blocks.push_back(
          PreNormBlock(norm, DeltaAttention(context, attention, linears)));
    }
    // Writers put dense layers under `mlp`, as the hub does, or with the
    // experts, as Hugging Face's own conversion does.
    BlockSpec ffn;
    ffn.pre_norm =
        context.Norm(absl::StrCat(name, ".post_attention_layernorm"));
    const std::string moe = absl::StrCat(name, ".block_sparse_moe");
    const std::string mlp = absl::StrCat(name, ".mlp");
    if (dense[i]) {
      ffn.branches.push_back(
          GatedMlp(context, context.PickPrefix({mlp, moe}, ".gate_proj.weight"),
                   config.Int("intermediate_size", 1, kMaxWidth)));
    } else {
      AddExperts(context, context.PickPrefix({moe, mlp}, ".gate.weight"), &ffn);
    }
    layer.blocks.push_back(std::move(ffn));
    if (!context.ok()) return config.status();
    spec.layers.push_back(std::move(layer));
  }
  AddEnds(context, {}, TiedOnlyWithoutHead(context), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
