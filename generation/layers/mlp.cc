#include "generation/layers/mlp.h"

#include <memory>
#include <utility>

#include "kernels/elementwise.h"

namespace braid::model {

Mlp::Mlp(const MlpSpec& spec, WeightLoader& loader)
    : gated_(spec.gated),
      activation_(spec.activation),
      up_(loader.Load(spec.up)),
      down_(loader.Load(spec.down)),
      output_gate_(loader.Load(spec.output_gate)) {}

absl::StatusOr<std::unique_ptr<Mlp>> Mlp::Load(const MlpSpec& spec,
                                               WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Mlp>(new Mlp(spec, loader)));
}

void Mlp::Forward(const float* x, size_t rows, OperatorState*, float* out,
                  Workspace* workspace) const {
  Forward(x, rows, out, workspace);
}

void Mlp::Forward(const float* x, size_t rows, float* out,
                  Workspace* workspace) const {
  const size_t inner = down_.in();
  const size_t width = up_.out();
  float* up = Workspace::Reserve(workspace->projected, rows * width);
  up_.Apply(x, up_.in(), rows, up, width, workspace->pool);
  const float* product = up;
  if (gated_) {
    float* gated = Workspace::Reserve(workspace->mixed, rows * inner);
    for (size_t r = 0; r < rows; ++r) {
      const float* row = up + r * width;
      kernels::GatedActivation(activation_, row, row + inner, gated + r * inner,
                               inner);
    }
    product = gated;
  } else {
    kernels::Activate(activation_, up, up, rows * inner);
  }
  const size_t hidden = down_.out();
  down_.Apply(product, inner, rows, out, hidden, workspace->pool);
  if (!output_gate_.has_value()) return;
  float* gate = Workspace::Reserve(workspace->small, rows);
  output_gate_->Apply(x, output_gate_->in(), rows, gate, 1, workspace->pool);
  kernels::Activate(kernels::Activation::kSigmoid, gate, gate, rows);
  for (size_t r = 0; r < rows; ++r) {
    kernels::Scale(gate[r], out + r * hidden, out + r * hidden, hidden);
  }
}

}  // namespace braid::model
