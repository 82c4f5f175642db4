// The Mamba-2 mixer: short convolution, state-space recurrence, gated norm.
#ifndef BRAID_GENERATION_LAYERS_MAMBA2_H_
#define BRAID_GENERATION_LAYERS_MAMBA2_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/layers/linear.h"
#include "generation/layers/workspace.h"

namespace braid::model {

// What a sequence carries from token to token. Constant in size.
struct Mamba2State {
  std::vector<float> conv;       // [kernel - 1, channels], oldest first
  std::vector<float> recurrent;  // [heads, head_dim, state_dim]
};

// Immutable after loading; shared between threads.
class Mamba2 {
 public:
  static absl::StatusOr<std::unique_ptr<Mamba2>> Load(
      const Mamba2Spec& spec, const Checkpoint& checkpoint);

  size_t state_bytes() const;
  // The state before the first token.
  Mamba2State NewState() const;

  // The next `rows` tokens: x and out are [rows, hidden]. One row takes the
  // step form, more take the chunked form; both leave the same state.
  void Forward(const float* x, size_t rows, Mamba2State* state, float* out,
               Workspace* workspace) const;

 private:
  explicit Mamba2(const Mamba2Spec& spec) : spec_(spec) {}

  Mamba2Spec spec_;
  Linear in_;
  Linear out_;
  std::vector<float> taps_;       // [kernel, channels]
  std::vector<float> conv_bias_;  // [channels], or empty
  std::vector<float> a_;          // [heads], -exp(A_log)
  std::vector<float> d_;
  std::vector<float> dt_bias_;
  std::vector<float> norm_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_MAMBA2_H_
