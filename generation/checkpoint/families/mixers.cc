#include "generation/checkpoint/families/mixers.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace braid::model {
namespace {

constexpr int64_t kMaxRowOrders = 1 << 24;

void AppendRows(int64_t first, int64_t count, std::vector<int64_t>* order) {
  for (int64_t i = 0; i < count; ++i) order->push_back(first + i);
}

}  // namespace

bool CheckRowOrder(const Context& context, absl::string_view field,
                   int64_t rows) {
  if (rows <= kMaxRowOrders / context.layers) return true;
  context.config.Fail(
      field, absl::StrCat("makes ", rows, " rows in each of ", context.layers,
                          " layers; at most ", kMaxRowOrders,
                          " in all are supported"));
  return false;
}

HeadSizes ReadHeads(const Context& context, int64_t absent_head_dim) {
  ConfigReader& config = context.config;
  HeadSizes sizes;
  sizes.heads = config.Int("num_attention_heads", 1, kMaxWidth);
  sizes.kv_heads = config.Int("num_key_value_heads", 1, kMaxWidth, sizes.heads);
  if (sizes.heads % sizes.kv_heads != 0) {
    config.Fail("num_key_value_heads", "must divide num_attention_heads");
  }
  if (absent_head_dim == 0 && config.Find("head_dim") == nullptr) {
    if (context.hidden % sizes.heads != 0 ||
        context.hidden / sizes.heads > kMaxHeadDim) {
      config.Fail("num_attention_heads",
                  absl::StrCat("must divide hidden_size into heads of at most ",
                               kMaxHeadDim));
      return {};
    }
    absent_head_dim = context.hidden / sizes.heads;
  }
  sizes.head_dim = config.Int("head_dim", 1, kMaxHeadDim, absent_head_dim);
  Product(config, "num_attention_heads", sizes.heads, sizes.head_dim);
  return context.ok() ? sizes : HeadSizes{};
}

AttentionSpec Attention(const Context& context, absl::string_view name,
                        const HeadSizes& sizes,
                        const AttentionOptions& options) {
  AttentionSpec attention;
  attention.heads = sizes.heads;
  attention.kv_heads = sizes.kv_heads;
  attention.head_dim = sizes.head_dim;
  attention.scale = options.scale != 0
                        ? options.scale
                        : 1 / std::sqrt(static_cast<double>(sizes.head_dim));
  attention.rope = options.rope;
  attention.output_gate = options.output_gate;
  const int64_t q = attention.q_width();
  const int64_t kv = attention.kv_width();
  if (options.q_norm != nullptr) {
    attention.q_norm = Norm(absl::StrCat(name, ".", options.q_norm),
                            options.norm_whole_row ? q : sizes.head_dim,
                            context.epsilon, context.weight_offset);
    attention.k_norm = Norm(absl::StrCat(name, ".", options.k_norm),
                            options.norm_whole_row ? kv : sizes.head_dim,
                            context.epsilon, context.weight_offset);
  }
  const int64_t in = options.in != 0 ? options.in : context.hidden;
  attention.qkv =
      Stack({Linear(absl::StrCat(name, ".q_proj"),
                    options.output_gate ? 2 * q : q, in, options.qkv_bias),
             Linear(absl::StrCat(name, ".k_proj"), kv, in, options.qkv_bias),
             Linear(absl::StrCat(name, ".v_proj"), kv, in, options.qkv_bias)});
  if (options.output_gate &&
      CheckRowOrder(context, "num_attention_heads", 2 * q + 2 * kv)) {
    std::vector<int64_t>* order = &attention.qkv.row_order;
    const int64_t dim = sizes.head_dim;
    for (int64_t h = 0; h < sizes.heads; ++h) {
      AppendRows(2 * h * dim, dim, order);
    }
    AppendRows(2 * q, 2 * kv, order);
    for (int64_t h = 0; h < sizes.heads; ++h) {
      AppendRows((2 * h + 1) * dim, dim, order);
    }
  }
  attention.out = Linear(absl::StrCat(name, ".", options.out), context.hidden,
                         q, options.out_bias);
  return attention;
}

Mamba2Sizes ReadBambaSizes(const Context& context, int64_t inner) {
  ConfigReader& config = context.config;
  Mamba2Sizes sizes;
  sizes.heads = config.Int("mamba_n_heads", 1, kMaxWidth, 128);
  sizes.groups = config.Int("mamba_n_groups", 1, kMaxWidth, 1);
  sizes.state_dim = config.Int("mamba_d_state", 1, kMaxWidth, 256);
  sizes.conv_kernel = config.Int("mamba_d_conv", 1, kMaxConvKernel, 4);
  const nlohmann::json* head_dim = config.Find("mamba_d_head");
  sizes.head_dim = head_dim != nullptr && *head_dim != "auto"
                       ? config.Int("mamba_d_head", 1, kMaxWidth)
                       : inner / sizes.heads;
  if (sizes.heads * sizes.head_dim != inner) {
    config.Fail("mamba_d_head",
                absl::StrCat("mamba_n_heads * mamba_d_head must be ", inner));
  }
  sizes.conv_bias = config.Bool("mamba_conv_bias", true);
  sizes.in_bias = config.Bool("mamba_proj_bias", false);
  sizes.out_bias = sizes.in_bias;
  RequireSilu(config, "hidden_act");
  return context.ok() ? sizes : Mamba2Sizes{};
}

Mamba2Spec Mamba2(const Context& context, absl::string_view name,
                  const Mamba2Sizes& sizes) {
  Mamba2Spec mamba;
  mamba.heads = sizes.heads;
  mamba.head_dim = sizes.head_dim;
  mamba.groups = sizes.groups;
  mamba.state_dim = sizes.state_dim;
  mamba.conv_kernel = sizes.conv_kernel;
  if (sizes.heads % sizes.groups != 0) {
    context.config.Fail(
        context.config.Spelling(
            {"mamba_n_groups", "n_groups", "mamba_ngroups"}),
        absl::StrCat("must divide the ", sizes.heads, " Mamba heads"));
  }
  const int64_t inner = mamba.inner();
  const int64_t channels = mamba.conv_channels();
  mamba.in =
      Linear(absl::StrCat(name, ".in_proj"), inner + channels + mamba.heads,
             context.hidden, sizes.in_bias);
  mamba.conv_weight = Tensor(absl::StrCat(name, ".conv1d.weight"),
                             {channels, 1, mamba.conv_kernel});
  if (sizes.conv_bias) {
    mamba.conv_bias = Tensor(absl::StrCat(name, ".conv1d.bias"), {channels});
  }
  mamba.a_log = Tensor(absl::StrCat(name, ".A_log"), {mamba.heads});
  mamba.d = Tensor(absl::StrCat(name, ".D"), {mamba.heads});
  mamba.dt_bias = Tensor(absl::StrCat(name, ".dt_bias"), {mamba.heads});
  mamba.norm = Norm(absl::StrCat(name, ".norm"), inner, context.epsilon);
  mamba.norm_groups = sizes.groups;
  mamba.out = Linear(absl::StrCat(name, ".out_proj"), context.hidden, inner,
                     sizes.out_bias);
  return mamba;
}

void ReadTimeStepLimit(ConfigReader& config, Mamba2Spec* mamba) {
  const auto [low, high] =
      config.Limits("time_step_limit", {mamba->dt_min, mamba->dt_max});
  mamba->dt_min = low;
  mamba->dt_max = high;
}

Mamba1Spec Mamba1(const Context& context, absl::string_view name,
                  const Mamba1Sizes& sizes) {
  Mamba1Spec mamba;
  mamba.inner = sizes.inner;
  mamba.state_dim = sizes.state_dim;
  mamba.dt_rank = sizes.dt_rank;
  mamba.conv_kernel = sizes.conv_kernel;
  mamba.in = Linear(absl::StrCat(name, ".in_proj"), 2 * sizes.inner,
                    context.hidden, sizes.bias);
  mamba.conv_weight = Tensor(absl::StrCat(name, ".conv1d.weight"),
                             {sizes.inner, 1, sizes.conv_kernel});
  if (sizes.conv_bias) {
    mamba.conv_bias = Tensor(absl::StrCat(name, ".conv1d.bias"), {sizes.inner});
  }
  mamba.x_proj = Linear(absl::StrCat(name, ".x_proj"),
                        sizes.dt_rank + 2 * sizes.state_dim, sizes.inner);
  mamba.dt_proj = Linear(absl::StrCat(name, ".dt_proj"), sizes.inner,
                         sizes.dt_rank, /*bias=*/true);
  mamba.a_log =
      Tensor(absl::StrCat(name, ".A_log"), {sizes.inner, sizes.state_dim});
  mamba.d = Tensor(absl::StrCat(name, ".D"), {sizes.inner});
  mamba.out = Linear(absl::StrCat(name, ".out_proj"), context.hidden,
                     sizes.inner, sizes.bias);
  return mamba;
}

int64_t ReadTimeStepRank(const Context& context, absl::string_view field) {
  const nlohmann::json* rank = context.config.Find(field);
  if (rank == nullptr || *rank == "auto") return (context.hidden + 15) / 16;
  return context.config.Int(field, 1, kMaxWidth);
}

DeltaNetSpec ReadDeltaNet(const Context& context) {
  ConfigReader& config = context.config;
  DeltaNetSpec delta;
  delta.key_heads = config.Int("linear_num_key_heads", 1, kMaxWidth);
  delta.value_heads = config.Int("linear_num_value_heads", 1, kMaxWidth);
  delta.key_dim = config.Int("linear_key_head_dim", 1, kMaxHeadDim);
  delta.value_dim = config.Int("linear_value_head_dim", 1, kMaxHeadDim);
  delta.conv_kernel =
      config.Int("linear_conv_kernel_dim", 1, kMaxConvKernel, 4);
  if (delta.value_heads % delta.key_heads != 0) {
    config.Fail("linear_num_value_heads",
                "must be a multiple of linear_num_key_heads");
  }
  Product(config, "linear_num_key_heads", delta.key_heads, delta.key_dim);
  Product(config, "linear_num_value_heads", delta.value_heads, delta.value_dim);
  RequireSilu(config, "hidden_act");
  return delta;
}

std::vector<TensorSpec> SplitConvWeights(const Context& context,
                                         absl::string_view name,
                                         const DeltaNetSpec& delta) {
  const std::string names[] = {absl::StrCat(name, ".q_conv1d.weight"),
                               absl::StrCat(name, ".k_conv1d.weight"),
                               absl::StrCat(name, ".v_conv1d.weight")};
  int64_t rows[] = {delta.key_width(), delta.key_width(), delta.value_width()};
  if (context.checkpoint != nullptr) {
    const int64_t part = (delta.conv_channels() + 2) / 3;
    const TensorView* first = context.checkpoint->Find(names[0]);
    if (first != nullptr && !first->shape.empty() && first->shape[0] == part &&
        delta.conv_channels() > 2 * part) {
      rows[0] = rows[1] = part;
      rows[2] = delta.conv_channels() - 2 * part;
    }
  }
  std::vector<TensorSpec> weights;
  for (int i = 0; i < 3; ++i) {
    weights.push_back(Tensor(names[i], {rows[i], 1, delta.conv_kernel}));
  }
  return weights;
}

}  // namespace braid::model
