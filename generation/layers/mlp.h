// The feed-forward layer, gated (Shazeer 2020) or not.
#ifndef BRAID_GENERATION_LAYERS_MLP_H_
#define BRAID_GENERATION_LAYERS_MLP_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "generation/layers/operator.h"

namespace braid::model {

// No state. Uses the workspace's `projected`, `mixed` and `small`.
class Mlp : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Mlp>> Load(const MlpSpec& spec,
                                                   WeightLoader& loader);

  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;
  void Forward(const float* x, size_t rows, float* out,
               Workspace* workspace) const;

 private:
  Mlp(const MlpSpec& spec, WeightLoader& loader);

  bool gated_;
  kernels::Activation activation_;
  Linear up_;
  Linear down_;
  std::optional<Linear> output_gate_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_MLP_H_
