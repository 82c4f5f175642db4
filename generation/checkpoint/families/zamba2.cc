// Zamba2: Mamba-2 layers, of which some first add a shared transformer's view
// of the stream and the token's embedding to their input. The transformer is
// stored once and adapted at each use by low-rank additions.
#include <algorithm>
#include <cmath>
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

// As in Nemotron-H, time_step_min only shapes the initial weights.
Mamba2Spec Mamba(const Context& context, const std::string& name) {
  ConfigReader& config = context.config;
  const int64_t inner = config.Int("mamba_expand", 1, 64, 2) * context.hidden;
  Mamba2Sizes sizes;
  sizes.heads = config.Int("n_mamba_heads", 1, kMaxWidth, 8);
  if (inner % sizes.heads != 0) {
    config.Fail("n_mamba_heads", absl::StrCat("must divide ", inner,
                                              " (mamba_expand * hidden_size)"));
    return {};
  }
  sizes.head_dim = inner / sizes.heads;
  sizes.groups = config.Int("mamba_ngroups", 1, kMaxWidth, 1);
  sizes.state_dim = config.Int("mamba_d_state", 1, kMaxWidth, 64);
  sizes.conv_kernel = config.Int("mamba_d_conv", 1, kMaxConvKernel, 4);
  sizes.in_bias = config.Bool("add_bias_linear", false);
  sizes.out_bias = sizes.in_bias;
  Mamba2Spec mamba = Mamba2(context, name, sizes);
  mamba.norm->epsilon = kGatedEpsilon;
  return mamba;
}

// The use'th addition of `list`.
LinearSpec::Adapter Adapter(const std::string& list, int64_t use, int64_t in,
                            int64_t rank, int64_t rows, int64_t first_row) {
  const std::string name = absl::StrCat(list, ".", use);
  return {Tensor(absl::StrCat(name, ".0.weight"), {rank, in}),
          Tensor(absl::StrCat(name, ".1.weight"), {rows, rank}), first_row};
}

// The shared transformer `name` at its use'th use among all of its kind.
SidePathSpec SharedTransformer(const Context& context, const std::string& name,
                               int64_t use) {
  ConfigReader& config = context.config;
  const int64_t width = 2 * context.hidden;
  const int64_t rank = config.Int("adapter_rank", 1, kMaxWidth, 128);
  HeadSizes sizes;
  sizes.heads = config.Int("num_attention_heads", 1, kMaxWidth);
  sizes.kv_heads = config.Int("num_key_value_heads", 1, kMaxWidth, sizes.heads);
  if (width % sizes.heads != 0 || width / sizes.heads > kMaxHeadDim) {
    config.Fail("num_attention_heads",
                absl::StrCat("must divide 2 * hidden_size into heads of at "
                             "most ",
                             kMaxHeadDim));
    return {};
  }
  sizes.head_dim = width / sizes.heads;
  if (sizes.heads % sizes.kv_heads != 0) {
    config.Fail("num_key_value_heads", "must divide num_attention_heads");
  }
  AttentionOptions options;
  options.in = width;
  options.scale = 1 / std::sqrt(static_cast<double>(sizes.head_dim) / 2);
  if (config.Bool("use_mem_rope", false)) {
    options.rope = ReadRope(config, sizes.head_dim);
  }
  SidePathSpec side;
  side.norm =
      Norm(absl::StrCat(name, ".input_layernorm"), width, context.epsilon);
  const std::string attention = absl::StrCat(name, ".self_attn");
  side.attention = Attention(context, attention, sizes, options);
  if (config.Bool("use_shared_attention_adapter", false)) {
    if (sizes.kv_heads != sizes.heads) {
      config.Unsupported("num_key_value_heads",
                         "adapters need as many as num_attention_heads");
    }
    int64_t row = 0;
    for (const char* part : {"q", "k", "v"}) {
      side.attention.qkv.adapters.push_back(
          Adapter(absl::StrCat(attention, ".linear_", part, "_adapter_list"),
                  use, width, rank, width, row));
      row += width;
    }
  }
  side.mlp_norm = context.Norm(absl::StrCat(name, ".pre_ff_layernorm"));
  const int64_t intermediate =
      config.Int("intermediate_size", 1, kMaxWidth,
                 std::min(4 * context.hidden, kMaxWidth));
  const std::string mlp = absl::StrCat(name, ".feed_forward");
  side.mlp = FusedMlp(context, absl::StrCat(mlp, ".gate_up_proj"),
                      absl::StrCat(mlp, ".down_proj"), intermediate,
                      config.Bool("add_bias_linear", false));
  side.mlp.up.adapters.push_back(
      Adapter(absl::StrCat(mlp, ".gate_up_proj_adapter_list"), use,
              context.hidden, rank, 2 * intermediate, 0));
  return side;
}

}  // namespace

absl::StatusOr<ModelSpec> Zamba2(ConfigReader& config,
                                 const Checkpoint* checkpoint) {
  ModelSpec spec;
  const Context context = ReadCommon(config, checkpoint,
                                     {.absent_epsilon = 1e-5,
                                      .absent_max_tokens = 4096,
                                      .absent_activation = "gelu"},
                                     &spec);
  if (config.Bool("use_long_context", false)) spec.max_context_tokens = 16384;
  const std::vector<std::string> kinds =
      ReadKinds(context, config.Spelling({"layers_block_type", "layer_types"}),
                {"linear_attention", "hybrid"});
  const int64_t transformers = config.Int("num_mem_blocks", 1, kMaxLayers, 1);
  if (!context.ok()) return config.status();

  // Layers that hold the weights of a transformer, in the order of their use.
  std::vector<std::string> stored;
  int64_t uses = 0;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = absl::StrCat("model.layers.", i);
    const bool hybrid = kinds[i] == "hybrid";
    const std::string decoder =
        hybrid ? absl::StrCat(name, ".mamba_decoder") : name;
    BlockSpec block =
        PreNormBlock(context.Norm(absl::StrCat(decoder, ".input_layernorm")),
                     Mamba(context, absl::StrCat(decoder, ".mamba")));
    if (hybrid) {
      const std::string own = absl::StrCat(name, ".shared_transformer");
      if (static_cast<int64_t>(stored.size()) < transformers) {
        stored.push_back(own);
      } else {
        // Some writers store every use.
        spec.ignored_tensors.push_back(absl::StrCat(own, "."));
      }
      block.side =
          SharedTransformer(context, stored[uses % transformers], uses);
      block.side->out =
          Linear(absl::StrCat(name, ".linear"), context.hidden, context.hidden);
      ++uses;
    }
    if (!context.ok()) return config.status();
    spec.layers.push_back({{std::move(block)}});
  }
  AddEnds(context, {.final_norm = "model.final_layernorm.weight"},
          config.Bool("tie_word_embeddings", true), &spec);
  if (!context.ok()) return config.status();
  return spec;
}

}  // namespace braid::model
