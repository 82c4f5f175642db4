// Gated DeltaNet (Yang, Kautz and Hatamizadeh 2024) and Kimi delta attention
// (Kimi Linear, 2025): short convolutions, the gated delta rule, gated norm.
#ifndef BRAID_GENERATION_LAYERS_DELTA_NET_H_
#define BRAID_GENERATION_LAYERS_DELTA_NET_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

// State: RecurrentState, recurrent [value_heads, key_dim, value_dim]. One row
// takes the step form, more take the chunked form.
class DeltaNet : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<DeltaNet>> Load(
      const DeltaNetSpec& spec, WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  DeltaNet(const DeltaNetSpec& spec, WeightLoader& loader);
  // In place: q and k of `rows` rows to unit length, and q times key_dim^-0.5.
  void NormalizeKeys(float* q, size_t ld, size_t rows,
                     kernels::ThreadPool* pool) const;
  // g = -exp(A_log) softplus(a + dt_bias), [rows, decay_width].
  void LogDecay(const float* a, size_t lda, size_t rows, float* g) const;

  DeltaNetSpec spec_;
  Linear in_;
  std::optional<Linear> z_up_;
  std::optional<Linear> a_up_;
  std::vector<float> taps_;  // [kernel, channels]
  std::vector<float> rate_;  // [value_heads], -exp(A_log)
  std::vector<float> dt_bias_;
  RmsNorm norm_;
  Linear out_;
  // L2 norms written as RMS norms with these weights, [key_dim].
  RmsNorm unit_q_;
  RmsNorm unit_k_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_DELTA_NET_H_
