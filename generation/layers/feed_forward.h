// Feed-forward layers: SwiGLU, and routed experts of the same form.
#ifndef BRAID_GENERATION_LAYERS_FEED_FORWARD_H_
#define BRAID_GENERATION_LAYERS_FEED_FORWARD_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/layers/linear.h"
#include "generation/layers/workspace.h"

namespace braid::model {

// down(silu(gate x) * up x). Immutable after loading; shared between threads.
class Mlp {
 public:
  static absl::StatusOr<std::unique_ptr<Mlp>> Load(
      const MlpSpec& spec, const Checkpoint& checkpoint);
  // From weights already at hand: gate_up [2 * intermediate, hidden].
  Mlp(Linear gate_up, Linear down);

  // x and out are [rows, hidden].
  void Forward(const float* x, size_t rows, float* out,
               Workspace* workspace) const;

 private:
  Linear gate_up_;
  Linear down_;
};

// A token goes to its top_k experts; their outputs are summed with the softmax
// of the chosen router logits as weights. Of equal logits the expert with the
// smaller number is chosen. Immutable after loading; shared between threads.
class Moe {
 public:
  static absl::StatusOr<std::unique_ptr<Moe>> Load(
      const MoeSpec& spec, const Checkpoint& checkpoint);

  // out[r] += the experts' sum for x[r]; both [rows, hidden]. Tokens are
  // grouped by expert, so each chosen expert's weights are read once.
  void AddForward(const float* x, size_t rows, float* out,
                  Workspace* workspace) const;

 private:
  Moe() = default;
  size_t hidden_ = 0;
  size_t top_k_ = 0;
  Linear router_;
  std::vector<Mlp> experts_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_FEED_FORWARD_H_
