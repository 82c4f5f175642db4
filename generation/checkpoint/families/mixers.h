// Attention, Mamba and delta-rule layers as most families have them.
#ifndef BRAID_GENERATION_CHECKPOINT_FAMILIES_MIXERS_H_
#define BRAID_GENERATION_CHECKPOINT_FAMILIES_MIXERS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "generation/checkpoint/families/parts.h"
#include "generation/checkpoint/model_spec.h"

namespace braid::model {

inline constexpr int64_t kMaxConvKernel = 64;
// No model has larger heads, and tables of the head's size are made per layer.
inline constexpr int64_t kMaxHeadDim = 1 << 12;

struct HeadSizes {
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t head_dim = 1;
};
// num_attention_heads, num_key_value_heads and head_dim; without that one,
// `absent_head_dim`, or if that is 0 the hidden size split over the heads.
HeadSizes ReadHeads(const Context& context, int64_t absent_head_dim = 0);

struct AttentionOptions {
  int64_t in = 0;    // width of the input; 0: the hidden size
  double scale = 0;  // 0: head_dim^-0.5
  bool qkv_bias = false;
  bool out_bias = false;
  const char* out = "o_proj";
  std::optional<RopeSpec> rope;
  // Names of the norms of queries and keys; null: none.
  const char* q_norm = nullptr;
  const char* k_norm = nullptr;
  bool norm_whole_row = false;  // instead of each head
  // q_proj holds, for each head, its query and then its output gate.
  bool output_gate = false;
};
// Projections `name`.q_proj, k_proj, v_proj and the one out.
AttentionSpec Attention(const Context& context, absl::string_view name,
                        const HeadSizes& sizes,
                        const AttentionOptions& options);

struct Mamba2Sizes {
  int64_t heads = 1;
  int64_t head_dim = 1;
  int64_t groups = 1;
  int64_t state_dim = 1;
  int64_t conv_kernel = 1;
  bool conv_bias = true;
  bool in_bias = false;
  bool out_bias = false;
};
// Bamba's names for them (mamba_n_heads and so on), of which heads and head
// size must make `inner`.
Mamba2Sizes ReadBambaSizes(const Context& context, int64_t inner);
// Checks that the groups divide the heads; norm over each group.
Mamba2Spec Mamba2(const Context& context, absl::string_view name,
                  const Mamba2Sizes& sizes);
// Reads time_step_limit.
void ReadTimeStepLimit(ConfigReader& config, Mamba2Spec* mamba);

struct Mamba1Sizes {
  int64_t inner = 1;
  int64_t state_dim = 1;
  int64_t dt_rank = 1;
  int64_t conv_kernel = 1;
  bool conv_bias = true;
  bool bias = false;  // of the projections in and out
};
Mamba1Spec Mamba1(const Context& context, absl::string_view name,
                  const Mamba1Sizes& sizes);
// "auto" stands for the hidden size / 16, rounded up.
int64_t ReadTimeStepRank(const Context& context, absl::string_view field);

// linear_num_key_heads and so on; without maps, convolutions and norm.
DeltaNetSpec ReadDeltaNet(const Context& context);
// `name`.{q,k,v}_conv1d.weight. Some writers cut the stacked weights into three
// equal parts, whatever the widths of q, k and v are.
std::vector<TensorSpec> SplitConvWeights(const Context& context,
                                         absl::string_view name,
                                         const DeltaNetSpec& delta);

// To be checked before a row_order is built: bounds what they hold in all
// layers.
bool CheckRowOrder(const Context& context, absl::string_view field,
                   int64_t rows);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_FAMILIES_MIXERS_H_
