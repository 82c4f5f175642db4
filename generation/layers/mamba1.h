// The Mamba mixer (Gu and Dao 2023, section 3.4): short convolution, selective
// scan with a decay for every channel and state, gate.
#ifndef BRAID_GENERATION_LAYERS_MAMBA1_H_
#define BRAID_GENERATION_LAYERS_MAMBA1_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

// State: RecurrentState, recurrent [inner, state_dim].
class Mamba1 : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Mamba1>> Load(const Mamba1Spec& spec,
                                                      WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  Mamba1(const Mamba1Spec& spec, WeightLoader& loader);

  Mamba1Spec spec_;
  Linear in_;
  std::vector<float> taps_;       // [kernel, inner]
  std::vector<float> conv_bias_;  // [inner], or empty
  Linear x_proj_;
  std::optional<RmsNorm> dt_norm_;
  std::optional<RmsNorm> b_norm_;
  std::optional<RmsNorm> c_norm_;
  Linear dt_proj_;
  kernels::AlignedVector a_;  // -exp(A_log), in the groups of the kernel
  std::vector<float> d_;
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_MAMBA1_H_
