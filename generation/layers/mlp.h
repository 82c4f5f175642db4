// The feed-forward layer, gated (Shazeer 2020) or not.
#ifndef BRAID_GENERATION_LAYERS_MLP_H_
#define BRAID_GENERATION_LAYERS_MLP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "generation/layers/operator.h"

namespace braid::model {

// No state. Uses the workspace's `projected`, `mixed`, `gathered` and `small`.
class Mlp : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<Mlp>> Load(const MlpSpec& spec,
                                                   WeightLoader& loader);

  void Forward(const float* x, size_t rows, OperatorState* state, float* out,
               Workspace* workspace) const override;

  // One of several that do not depend on one another: out [rows, hidden] for
  // rows x + row_of[r] * hidden, or x + r * hidden where row_of is null.
  struct Call {
    const Mlp* mlp = nullptr;
    const float* x = nullptr;
    const uint32_t* row_of = nullptr;
    size_t rows = 0;
    float* out = nullptr;
  };
  // Of layers without an output gate; Forward adds it.
  static void ForwardAll(absl::Span<const Call> calls, Workspace* workspace);

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
