// The Mamba-2 mixer (Dao and Gu 2024, section 7): short convolution,
// state-space recurrence with one decay per head, gated norm.
#ifndef BRAID_GENERATION_LAYERS_MAMBA2_H_
#define BRAID_GENERATION_LAYERS_MAMBA2_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

class Mamba2 : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Mamba2>> Load(const Mamba2Spec& spec,
                                                      WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  Mamba2(const Mamba2Spec& spec, WeightLoader& loader);
  // y = norm and gate of y, [rows, inner]; z's rows are `ldz` apart.
  void NormAndGate(float* y, const float* z, size_t ldz, size_t rows,
                   kernels::ThreadPool* pool) const;

  Mamba2Spec spec_;
  Linear in_;
  std::vector<float> taps_;       // [kernel, channels]
  std::vector<float> conv_bias_;  // [channels], or empty
  std::vector<float> a_;          // [heads], -exp(A_log)
  std::vector<float> d_;
  std::vector<float> dt_bias_;
  std::optional<RmsNorm> norm_;
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_MAMBA2_H_
