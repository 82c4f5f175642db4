// OLMo-Hybrid: Gated DeltaNet layers with a norm before each block, and
// attention layers with a norm after each; a SwiGLU in both.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/families/rope.h"

namespace braid::model {
namespace {

// The gated norm ignores rms_norm_eps.
constexpr double kGatedEpsilon = 1e-5;

AttentionSpec OlmoAttention(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const HeadSizes sizes = ReadHeads(context);
  AttentionOptions options;
  options.qkv_bias = config.Bool("attention_bias", false);
  options.out_bias = options.qkv_bias;
  options.q_norm = "q_norm";
  options.k_norm = "k_norm";
  options.norm_whole_row = true;
  // A rope_theta of null, said outright, means no positions at all.
  std::optional<ConfigReader> rope = config.Part("rope_parameters");
  if (!rope.has_value() || !rope->IsNull("rope_theta")) {
    options.rope = ReadRope(config, sizes.head_dim);
  }
  return Attention(context, name, sizes, options);
}

DeltaNetSpec OlmoDeltaNet(const Context& context, const std::string& name) {
  DeltaNetSpec delta = ReadDeltaNet(context);
  if (!context.ok()) return delta;
  if (context.config.Bool("linear_allow_neg_eigval", true)) {
    delta.beta_scale = 2;
  }
  const int64_t hidden = context.hidden;
  const int64_t keys = delta.key_width();
  const int64_t values = delta.value_width();
  const int64_t heads = delta.value_heads;
  delta.in = Stack({Linear(absl::StrCat(name, ".q_proj"), keys, hidden),
                    Linear(absl::StrCat(name, ".k_proj"), keys, hidden),
                    Linear(absl::StrCat(name, ".v_proj"), values, hidden),
                    Linear(absl::StrCat(name, ".g_proj"), values, hidden),
                    Linear(absl::StrCat(name, ".b_proj"), heads, hidden),
                    Linear(absl::StrCat(name, ".a_proj"), heads, hidden)});
  delta.conv_weights = SplitConvWeights(context, name, delta);
  delta.a_log = Tensor(absl::StrCat(name, ".A_log"), {heads});
  delta.dt_bias = Tensor(absl::StrCat(name, ".dt_bias"), {heads});
  delta.norm =
      Norm(absl::StrCat(name, ".o_norm"), delta.value_dim, kGatedEpsilon);
  delta.out = Linear(absl::StrCat(name, ".o_proj"), hidden, values);
  return delta;
}

}  // namespace

absl::StatusOr<ModelSpec> OlmoHybrid(ConfigReader& config,
                                     const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context =
      ReadCommon(config, checkpoint, {.absent_max_tokens = 65536}, &spec);
  const bool listed = config.Find("layer_types") != nullptr;
  std::vector<std::string> kinds =
      listed ? ReadKinds(context, "layer_types",
                         {"linear_attention", "full_attention"})
             : MakeKinds(context, [&context](int64_t i) {
                 return i % 4 == 3 ||
                        (context.layers < 4 && i == context.layers - 1);
               });
  const int64_t intermediate = config.Int("intermediate_size", 1, kMaxWidth);
  if (!context.ok()) return config.status();

  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    // Two spellings of each name, of which one writer mixes both kinds.
    const auto norm = [&](const char* hub, const char* other) {
      RmsNormSpec result = context.Norm(absl::StrCat(name, ".", hub));
      result.weight.name = context.Pick(
          {result.weight.name, absl::StrCat(name, ".", other, ".weight")});
      return result;
    };
    const RmsNormSpec middle =
        norm("post_attention_layernorm", "feedforward_layer_norm");
    MlpSpec mlp = GatedMlp(context, absl::StrCat(name, ".mlp"), intermediate);
    BlockSpec mixer_block;
    BlockSpec mlp_block;
    if (kinds[i] == "full_attention") {
      mixer_block.post_norm = middle;
      mixer_block.branches.push_back(
          OlmoAttention(context, absl::StrCat(name, ".self_attn")));
      mlp_block.post_norm =
          context.Norm(absl::StrCat(name, ".post_feedforward_layernorm"));
    } else {
      mixer_block.pre_norm = norm("input_layernorm", "attention_layer_norm");
      mixer_block.branches.push_back(
          OlmoDeltaNet(context, absl::StrCat(name, ".linear_attn")));
      mlp_block.pre_norm = middle;
    }
    mlp_block.branches.push_back(std::move(mlp));
    if (!context.ok()) return config.status();
    spec.layers.push_back({{std::move(mixer_block), std::move(mlp_block)}});
  }
  AddEnds(context, {}, config.Bool("tie_word_embeddings", false), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
