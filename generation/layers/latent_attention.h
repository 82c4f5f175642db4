// Multi-head latent attention (DeepSeek-V2, section 2.1), in the absorbed form:
// the matrices that would make keys and values from a token's latent are
// applied to the query and to the result instead (section 2.1.2). So the cache
// holds one row of rank + rope_dim numbers per token, whatever the number of
// heads, and all heads attend to the same row.
#ifndef BRAID_GENERATION_LAYERS_LATENT_ATTENTION_H_
#define BRAID_GENERATION_LAYERS_LATENT_ATTENTION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

// State: KvCache of one head, whose values lie in the keys.
class LatentAttention : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<LatentAttention>> Load(
      const MlaSpec& spec, WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  LatentAttention(const MlaSpec& spec, WeightLoader& loader);
  // Queries [rows, heads * (nope_dim + rope_dim)], in workspace->projected.
  const float* Queries(const float* x, size_t rows, Workspace* workspace) const;

  MlaSpec spec_;
  std::optional<Linear> q_down_;
  std::optional<RmsNorm> q_norm_;
  Linear q_;
  Linear kv_down_;
  RmsNorm kv_norm_;
  std::vector<Linear> key_up_;    // of each head: [rank, nope_dim]
  std::vector<Linear> value_up_;  // of each head: [value_dim, rank]
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_LATENT_ATTENTION_H_
