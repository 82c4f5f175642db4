// Causal grouped-query attention with a key and value cache.
#ifndef BRAID_GENERATION_LAYERS_ATTENTION_H_
#define BRAID_GENERATION_LAYERS_ATTENTION_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

// State: KvCache.
class Attention : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Attention>> Load(
      const AttentionSpec& spec, WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  Attention(const AttentionSpec& spec, WeightLoader& loader);

  AttentionSpec spec_;
  Linear qkv_;
  std::optional<RmsNorm> q_norm_;
  std::optional<RmsNorm> k_norm_;
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_ATTENTION_H_
