#include "generation/layers/mlp.h"

#include <memory>
#include <utility>
#include <vector>

#include "generation/layers/parallel_rows.h"
#include "kernels/elementwise.h"

namespace braid::model {

Mlp::Mlp(const MlpSpec& spec, WeightLoader& loader)
    : gated_(spec.gated),
      activation_(spec.activation),
      up_(spec.gated ? loader.LoadGated(spec.up) : loader.Load(spec.up)),
      down_(loader.Load(spec.down)),
      output_gate_(loader.Load(spec.output_gate)) {}

absl::StatusOr<std::unique_ptr<Mlp>> Mlp::Load(const MlpSpec& spec,
                                               WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Mlp>(new Mlp(spec, loader)));
}

void Mlp::Forward(const float* x, size_t rows, OperatorState*, float* out,
                  Workspace* workspace) const {
  const Call call{
      .mlp = this, .x = x, .row_of = nullptr, .rows = rows, .out = out};
  ForwardAll({&call, 1}, workspace);
  if (!output_gate_.has_value()) return;
  const size_t hidden = down_.out();
  float* gate = Workspace::Reserve(workspace->small, rows);
  output_gate_->Apply(x, output_gate_->in(), rows, gate, 1, workspace->pool);
  kernels::Activate(kernels::Activation::kSigmoid, gate, gate, rows);
  ParallelRows(workspace->pool, rows, hidden, [&](size_t r) {
    kernels::Scale(gate[r], out + r * hidden, out + r * hidden, hidden);
  });
}

void Mlp::ForwardAll(absl::Span<const Call> calls, Workspace* workspace) {
  size_t size = 0;
  for (const Call& call : calls) size += call.rows * call.mlp->down_.in();
  float* inner = Workspace::Reserve(workspace->mixed, size);
  std::vector<Linear::Call> up;
  std::vector<Linear::Call> down;
  up.reserve(calls.size());
  down.reserve(calls.size());
  for (const Call& call : calls) {
    const Mlp& mlp = *call.mlp;
    const size_t width = mlp.down_.in();
    up.push_back({.linear = &mlp.up_,
                  .x = call.x,
                  .ldx = mlp.up_.in(),
                  .row_of = call.row_of,
                  .rows = call.rows,
                  .y = inner,
                  .ldy = width,
                  .activation = mlp.activation_,
                  .gated = mlp.gated_});
    down.push_back({.linear = &mlp.down_,
                    .x = inner,
                    .ldx = width,
                    .rows = call.rows,
                    .y = call.out,
                    .ldy = mlp.down_.out()});
    inner += call.rows * width;
  }
  Linear::ApplyAll(up, workspace);
  Linear::ApplyAll(down, workspace);
}

}  // namespace braid::model
