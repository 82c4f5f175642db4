// LFM2's gated short convolution: out(c * conv(b * x)).
#ifndef BRAID_GENERATION_LAYERS_SHORT_CONV_H_
#define BRAID_GENERATION_LAYERS_SHORT_CONV_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

// State: RecurrentState with `conv` alone.
class ShortConv : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<ShortConv>> Load(
      const ShortConvSpec& spec, WeightLoader& loader);

  OperatorState NewState(kernels::KvType kv) const override;
  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

 private:
  ShortConv(const ShortConvSpec& spec, WeightLoader& loader);

  ShortConvSpec spec_;
  size_t channels_;
  Linear in_;
  std::vector<float> taps_;       // [kernel, channels]
  std::vector<float> conv_bias_;  // [channels], or empty
  Linear out_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_SHORT_CONV_H_
