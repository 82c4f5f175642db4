#include "generation/layers/mamba2.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "generation/layers/parallel_rows.h"
#include "generation/layers/ssd_shape.h"
#include "kernels/conv1d.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "kernels/ssd.h"

namespace braid::model {

Mamba2::Mamba2(const Mamba2Spec& spec, WeightLoader& loader)
    : spec_(spec),
      in_(loader.Load(spec.in)),
      taps_(loader.ConvTaps({spec.conv_weight}, spec.conv_channels(),
                            spec.conv_kernel)),
      conv_bias_(loader.Read(spec.conv_bias)),
      a_(loader.DecayRate(spec.a_log)),
      d_(loader.Read(spec.d)),
      dt_bias_(loader.Read(spec.dt_bias)),
      norm_(loader.Load(spec.norm)),
      out_(loader.Load(spec.out)) {}

absl::StatusOr<std::unique_ptr<Mamba2>> Mamba2::Load(const Mamba2Spec& spec,
                                                     WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Mamba2>(new Mamba2(spec, loader)));
}

OperatorState Mamba2::NewState(kernels::KvType) const {
  RecurrentState state;
  state.conv.resize((spec_.conv_kernel - 1) * spec_.conv_channels());
  state.recurrent.resize(kernels::SsdStateFloats(ShapeOf(spec_)));
  return state;
}

void Mamba2::NormAndGate(float* y, const float* z, size_t ldz, size_t rows,
                         kernels::ThreadPool* pool) const {
  const size_t inner = spec_.inner();
  if (!norm_.has_value()) {
    ParallelRows(pool, rows, inner, [&](size_t r) {
      kernels::GatedActivation(kernels::Activation::kSilu, z + r * ldz,
                               y + r * inner, y + r * inner, inner);
    });
    return;
  }
  kernels::RmsNormParams norm = norm_->Params(y, inner, rows, inner, y, inner);
  norm.groups = spec_.norm_groups;
  norm.gate = z;
  norm.ldg = ldz;
  norm.gate_order = spec_.norm_before_gate ? kernels::GateOrder::kNormFirst
                                           : kernels::GateOrder::kGateFirst;
  kernels::RmsNorm(norm, pool);
}

void Mamba2::Forward(const float* x, size_t rows, OperatorState* state,
                     float* out, Workspace* workspace) const {
  RecurrentState& past = std::get<RecurrentState>(*state);
  const size_t inner = spec_.inner();
  const size_t channels = spec_.conv_channels();
  const size_t heads = spec_.heads;
  const size_t width = in_.out();
  // Columns: z [inner], x B C [channels], dt [heads].
  float* projected = Workspace::Reserve(workspace->projected, rows * width);
  in_.Apply(x, in_.in(), rows, projected, width, workspace->pool);

  kernels::CausalConv1dParams conv;
  conv.x = projected + inner;
  conv.ldx = width;
  conv.rows = rows;
  conv.channels = channels;
  conv.kernel = spec_.conv_kernel;
  conv.taps = taps_.data();
  conv.bias = conv_bias_.empty() ? nullptr : conv_bias_.data();
  conv.state = past.conv.data();
  conv.activation = kernels::Activation::kSilu;
  conv.out = Workspace::Reserve(workspace->mixed, rows * channels);
  conv.ldo = channels;
  kernels::CausalConv1d(conv, workspace->pool);

  float* dt = Workspace::Reserve(workspace->small, rows * heads);
  kernels::Softplus(projected + inner + channels, width, dt_bias_.data(), rows,
                    heads, dt, heads);
  if (spec_.dt_min > 0 || std::isfinite(spec_.dt_max)) {
    const float low = static_cast<float>(spec_.dt_min);
    const float high = static_cast<float>(spec_.dt_max);
    for (size_t i = 0; i < rows * heads; ++i) {
      dt[i] = std::clamp(dt[i], low, high);
    }
  }

  kernels::SsdParams ssd;
  ssd.shape = ShapeOf(spec_);
  ssd.tokens = rows;
  ssd.x = conv.out;
  ssd.ldx = channels;
  ssd.b = conv.out + inner;
  ssd.ldb = channels;
  ssd.c = conv.out + inner + spec_.groups * spec_.state_dim;
  ssd.ldc = channels;
  ssd.dt = dt;
  ssd.lddt = heads;
  ssd.a = a_.data();
  ssd.d = d_.data();
  ssd.state = past.recurrent.data();
  ssd.past_tokens = past.tokens;
  ssd.y = Workspace::Reserve(workspace->gathered, rows * inner);
  ssd.ldy = inner;
  kernels::Ssd(ssd, workspace->pool);
  past.tokens += rows;

  NormAndGate(ssd.y, projected, width, rows, workspace->pool);
  out_.Apply(ssd.y, inner, rows, out, out_.out(), workspace->pool);
}

}  // namespace braid::model
