#include "generation/layers/mamba2.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/conv1d.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "kernels/ssd.h"

namespace braid::model {

absl::StatusOr<std::unique_ptr<Mamba2>> Mamba2::Load(
    const Mamba2Spec& spec, const Checkpoint& checkpoint) {
  auto mamba = std::unique_ptr<Mamba2>(new Mamba2(spec));
  absl::StatusOr<Linear> in = Linear::Load(spec.in, checkpoint);
  if (!in.ok()) return in.status();
  absl::StatusOr<Linear> out = Linear::Load(spec.out, checkpoint);
  if (!out.ok()) return out.status();
  mamba->in_ = *std::move(in);
  mamba->out_ = *std::move(out);

  std::vector<float> conv;
  std::vector<std::pair<const TensorSpec*, std::vector<float>*>> reads = {
      {&spec.conv_weight, &conv},
      {&spec.a_log, &mamba->a_},
      {&spec.d, &mamba->d_},
      {&spec.dt_bias, &mamba->dt_bias_},
      {&spec.norm.weight, &mamba->norm_}};
  if (spec.conv_bias.has_value()) {
    reads.emplace_back(&*spec.conv_bias, &mamba->conv_bias_);
  }
  for (const auto& [tensor, values] : reads) {
    absl::StatusOr<std::vector<float>> read =
        checkpoint.ReadF32(tensor->name, tensor->shape);
    if (!read.ok()) return read.status();
    *values = *std::move(read);
  }
  mamba->taps_.resize(conv.size());
  kernels::ConvTapsFromHf(conv.data(), spec.conv_channels(), spec.conv_kernel,
                          mamba->taps_.data());
  for (float& a : mamba->a_) a = -std::exp(a);
  return mamba;
}

size_t Mamba2::state_bytes() const {
  return sizeof(float) * ((spec_.conv_kernel - 1) * spec_.conv_channels() +
                          spec_.inner() * spec_.state_dim);
}

Mamba2State Mamba2::NewState() const {
  Mamba2State state;
  state.conv.assign((spec_.conv_kernel - 1) * spec_.conv_channels(), 0.0f);
  state.recurrent.assign(spec_.inner() * spec_.state_dim, 0.0f);
  return state;
}

void Mamba2::Forward(const float* x, size_t rows, Mamba2State* state,
                     float* out, Workspace* workspace) const {
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
  conv.state = state->conv.data();
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
  ssd.tokens = rows;
  ssd.heads = heads;
  ssd.head_dim = spec_.head_dim;
  ssd.state_dim = spec_.state_dim;
  ssd.groups = spec_.groups;
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
  ssd.state = state->recurrent.data();
  ssd.y = Workspace::Reserve(workspace->gathered, rows * inner);
  ssd.ldy = inner;
  if (rows == 1) {
    kernels::SsdStep(ssd, workspace->pool);
  } else {
    kernels::SsdPrefill(ssd, workspace->pool);
  }

  kernels::RmsNormParams norm;
  norm.x = ssd.y;
  norm.ldx = inner;
  norm.rows = rows;
  norm.dim = inner;
  norm.groups = spec_.groups;
  norm.weight = norm_.data();
  norm.gate = projected;
  norm.ldg = width;
  norm.gate_order = kernels::GateOrder::kGateFirst;
  norm.epsilon = static_cast<float>(spec_.norm.epsilon);
  norm.out = ssd.y;
  norm.ldo = inner;
  kernels::RmsNorm(norm, workspace->pool);
  out_.Apply(ssd.y, inner, rows, out, out_.out(), workspace->pool);
}

}  // namespace braid::model
