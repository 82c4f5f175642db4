#include "generation/layers/mamba1.h"

#include <memory>
#include <utility>
#include <vector>

#include "kernels/conv1d.h"
#include "kernels/elementwise.h"
#include "kernels/selective_scan.h"

namespace braid::model {

Mamba1::Mamba1(const Mamba1Spec& spec, WeightLoader& loader)
    : spec_(spec),
      in_(loader.Load(spec.in)),
      taps_(loader.ConvTaps({spec.conv_weight}, spec.inner, spec.conv_kernel)),
      conv_bias_(loader.Read(spec.conv_bias)),
      x_proj_(loader.Load(spec.x_proj)),
      dt_norm_(loader.Load(spec.dt_norm)),
      b_norm_(loader.Load(spec.b_norm)),
      c_norm_(loader.Load(spec.c_norm)),
      dt_proj_(loader.Load(spec.dt_proj)),
      d_(loader.Read(spec.d)),
      out_(loader.Load(spec.out)) {
  const std::vector<float> rate = loader.DecayRate(spec.a_log);
  if (!loader.status().ok()) return;
  a_.resize(kernels::SelectiveScanFloats(spec.inner, spec.state_dim));
  kernels::ToScanGroups(rate.data(), spec.inner, spec.state_dim, a_.data());
}

absl::StatusOr<std::unique_ptr<Mamba1>> Mamba1::Load(const Mamba1Spec& spec,
                                                     WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Mamba1>(new Mamba1(spec, loader)));
}

OperatorState Mamba1::NewState(kernels::KvType) const {
  RecurrentState state;
  state.conv.resize((spec_.conv_kernel - 1) * spec_.inner);
  state.recurrent.resize(
      kernels::SelectiveScanFloats(spec_.inner, spec_.state_dim));
  return state;
}

void Mamba1::Forward(const float* x, size_t rows, OperatorState* state,
                     float* out, Workspace* workspace) const {
  RecurrentState& past = std::get<RecurrentState>(*state);
  kernels::ThreadPool* pool = workspace->pool;
  const size_t inner = spec_.inner;
  const size_t states = spec_.state_dim;
  const size_t width = 2 * inner;
  // Columns: x, z.
  float* projected = Workspace::Reserve(workspace->projected, rows * width);
  in_.Apply(x, in_.in(), rows, projected, width, pool);

  kernels::CausalConv1dParams conv;
  conv.x = projected;
  conv.ldx = width;
  conv.rows = rows;
  conv.channels = inner;
  conv.kernel = spec_.conv_kernel;
  conv.taps = taps_.data();
  conv.bias = conv_bias_.empty() ? nullptr : conv_bias_.data();
  conv.state = past.conv.data();
  conv.activation = kernels::Activation::kSilu;
  conv.out = Workspace::Reserve(workspace->mixed, rows * inner);
  conv.ldo = inner;
  kernels::CausalConv1d(conv, pool);

  // Columns: dt, B, C.
  const size_t selected = x_proj_.out();
  float* low = Workspace::Reserve(workspace->small, rows * selected);
  x_proj_.Apply(conv.out, inner, rows, low, selected, pool);
  float* b = low + spec_.dt_rank;
  float* c = b + states;
  if (dt_norm_.has_value()) {
    dt_norm_->Apply(low, selected, rows, spec_.dt_rank, low, selected, pool);
  }
  if (b_norm_.has_value()) {
    b_norm_->Apply(b, selected, rows, states, b, selected, pool);
  }
  if (c_norm_.has_value()) {
    c_norm_->Apply(c, selected, rows, states, c, selected, pool);
  }
  float* dt = Workspace::Reserve(workspace->gathered, 2 * rows * inner);
  dt_proj_.Apply(low, selected, rows, dt, inner, pool);
  kernels::Softplus(dt, inner, nullptr, rows, inner, dt, inner);

  kernels::SelectiveScanParams scan;
  scan.tokens = rows;
  scan.channels = inner;
  scan.state_dim = states;
  scan.x = conv.out;
  scan.ldx = inner;
  scan.dt = dt;
  scan.lddt = inner;
  scan.b = b;
  scan.ldb = selected;
  scan.c = c;
  scan.ldc = selected;
  scan.a = a_.data();
  scan.d = d_.data();
  scan.state = past.recurrent.data();
  scan.y = dt + rows * inner;
  scan.ldy = inner;
  kernels::SelectiveScan(scan, pool);
  past.tokens += rows;

  for (size_t r = 0; r < rows; ++r) {
    float* y = scan.y + r * inner;
    kernels::GatedActivation(kernels::Activation::kSilu,
                             projected + r * width + inner, y, y, inner);
  }
  out_.Apply(scan.y, inner, rows, out, out_.out(), pool);
}

}  // namespace braid::model
