// Nemotron-H and Nemotron 3: one mixer per layer, of Mamba-2, attention without
// positions, an ungated MLP, or experts with a shared one beside them.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/families/mixers.h"
#include "generation/checkpoint/families/parts.h"

namespace braid::model {
namespace {

// Sets the number of layers too: Hugging Face ignores num_hidden_layers here.
std::vector<std::string> ReadPattern(Context* context) {
  ConfigReader& config = context->config;
  const absl::string_view list =
      config.Spelling({"layers_block_type", "layer_types"});
  const char* pattern_field = "hybrid_override_pattern";
  const bool has_pattern =
      config.Find(list) == nullptr && config.Find(pattern_field) != nullptr;
  const std::string pattern =
      has_pattern ? config.String(pattern_field, "") : "";
  const size_t layers =
      has_pattern ? pattern.size() : config.Strings(list).size();
  if (layers < 1 || layers > static_cast<size_t>(kMaxLayers)) {
    config.Fail(has_pattern ? pattern_field : list,
                absl::StrCat("must name 1 to ", kMaxLayers, " layers"));
    return {};
  }
  context->layers = static_cast<int64_t>(layers);
  if (!has_pattern) {
    return ReadKinds(*context, list,
                     {"linear_attention", "full_attention", "mlp", "moe"});
  }
  std::vector<std::string> kinds;
  for (const char c : pattern) {
    kinds.push_back(c == 'M'   ? "linear_attention"
                    : c == '*' ? "full_attention"
                    : c == '-' ? "mlp"
                               : "moe");
    if (c != 'M' && c != '*' && c != '-' && c != 'E') {
      config.Unsupported(pattern_field,
                         absl::StrCat("\"", pattern.substr(kinds.size() - 1, 1),
                                      "\" is not supported; M, *, - and E "
                                      "are"));
      return {};
    }
  }
  return kinds;
}

// The time step is not clamped: time_step_min only shapes the initial weights.
// (Hugging Face clamps with it in prefill, but not in decoding.)
Mamba2Spec Mamba(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  Mamba2Sizes sizes;
  sizes.heads = config.Int("mamba_num_heads", 1, kMaxWidth);
  sizes.head_dim = config.Int("mamba_head_dim", 1, kMaxWidth, 64);
  Product(config, "mamba_num_heads", sizes.heads, sizes.head_dim);
  sizes.groups = config.Int(config.Spelling({"mamba_n_groups", "n_groups"}), 1,
                            kMaxWidth, 8);
  sizes.state_dim = config.Int("ssm_state_size", 1, kMaxWidth, 128);
  sizes.conv_kernel = config.Int(
      config.Spelling({"mamba_d_conv", "conv_kernel"}), 1, kMaxConvKernel, 4);
  sizes.conv_bias =
      config.Bool(config.Spelling({"mamba_conv_bias", "use_conv_bias"}), true);
  sizes.in_bias = config.Bool("use_bias", false);
  sizes.out_bias = sizes.in_bias;
  RequireSilu(config, "mamba_hidden_act");
  return context.ok() ? Mamba2(context, name, sizes) : Mamba2Spec{};
}

MoeSpec Experts(const Context& context, const std::string& name, bool bias) {
  ConfigReader& config = context.config;
  const int64_t experts = ReadExperts(context, "n_routed_experts", 1);
  const int64_t intermediate =
      config.Int("moe_intermediate_size", 1, kMaxWidth);
  int64_t width = context.hidden;
  MoeSpec moe;
  if (config.Find("moe_latent_size") != nullptr) {
    width = config.Int("moe_latent_size", 1, kMaxWidth);
    moe.latent_down = Linear(absl::StrCat(name, ".fc1_latent_proj"), width,
                             context.hidden, bias);
    moe.latent_up = Linear(absl::StrCat(name, ".fc2_latent_proj"),
                           context.hidden, width, bias);
  }
  moe.router = GroupedRouter(context, absl::StrCat(name, ".gate"), experts, {});
  const std::string list = absl::StrCat(name, ".experts");
  const bool stacked =
      context.checkpoint != nullptr &&
      context.checkpoint->Find(absl::StrCat(list, ".up_proj")) != nullptr;
  for (int64_t e = 0; context.ok() && e < experts; ++e) {
    MlpSpec expert =
        PlainMlp(context, absl::StrCat(list, ".", e), width, intermediate);
    if (stacked) {
      expert.up.weights = {
          {absl::StrCat(list, ".up_proj"), {experts, intermediate, width}, e}};
      expert.down.weights = {{absl::StrCat(list, ".down_proj"),
                              {experts, width, intermediate},
                              e}};
    }
    moe.experts.push_back(std::move(expert));
  }
  return moe;
}

}  // namespace

absl::StatusOr<ModelSpec> NemotronH(ConfigReader& config,
                                    const Checkpoint* checkpoint) {
  ModelSpec spec;
  Context context = ReadCommon(config, checkpoint,
                               {.epsilon = "layer_norm_epsilon",
                                .absent_epsilon = 1e-5,
                                .absent_max_tokens = 4096,
                                .activation = "mlp_hidden_act",
                                .absent_activation = "relu2",
                                .layers = nullptr},
                               &spec);
  const std::vector<std::string> kinds = ReadPattern(&context);
  const bool mlp_bias = config.Bool("mlp_bias", false);
  if (!context.ok()) return config.status();

  const std::string root =
      context.PickPrefix({"backbone", "model"}, ".embeddings.weight");
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string layer = absl::StrCat(root, ".layers.", i);
    const std::string name = absl::StrCat(layer, ".mixer");
    BlockSpec block;
    block.pre_norm = context.Norm(absl::StrCat(layer, ".norm"));
    if (kinds[i] == "linear_attention") {
      block.branches.push_back(Mamba(context, name));
    } else if (kinds[i] == "full_attention") {
      // attention_bias is ignored by Hugging Face: no biases.
      block.branches.push_back(
          Attention(context, name, ReadHeads(context, 128), {}));
    } else if (kinds[i] == "mlp") {
      block.branches.push_back(
          PlainMlp(context, name, context.hidden,
                   config.Int("intermediate_size", 1, kMaxWidth), mlp_bias));
    } else {
      block.branches.push_back(Experts(context, name, mlp_bias));
      block.branches.push_back(PlainMlp(
          context, absl::StrCat(name, ".shared_experts"), context.hidden,
          config.Int("moe_shared_expert_intermediate_size", 1, kMaxWidth),
          mlp_bias));
    }
    if (!context.ok()) return config.status();
    spec.layers.push_back({{std::move(block)}});
  }
  AddEnds(context,
          {absl::StrCat(root, ".embeddings.weight"),
           absl::StrCat(root, ".norm_f.weight")},
          TiedOnlyWithoutHead(context), &spec);
  spec.ignored_tensors.push_back("mtp.");
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
