#include "generation/layers/delta_net.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/conv1d.h"
#include "kernels/delta_rule.h"
#include "kernels/elementwise.h"

namespace braid::model {
namespace {

constexpr float kUnitEpsilon = 1e-6f;  // of the sum of squares

// x / sqrt(sum of squares + epsilon) * scale, in the form of an RMS norm: the
// mean is the sum over `dim`.
RmsNorm UnitNorm(size_t dim, float scale) {
  const float size = static_cast<float>(dim);
  return RmsNorm(std::vector<float>(dim, scale / std::sqrt(size)),
                 kUnitEpsilon / size, 0.0f);
}

}  // namespace

DeltaNet::DeltaNet(const DeltaNetSpec& spec, WeightLoader& loader)
    : spec_(spec),
      in_(loader.Load(spec.in)),
      z_up_(loader.Load(spec.z_up)),
      a_up_(loader.Load(spec.a_up)),
      taps_(loader.ConvTaps(spec.conv_weights, spec.conv_channels(),
                            spec.conv_kernel)),
      rate_(loader.DecayRate(spec.a_log)),
      dt_bias_(loader.Read(spec.dt_bias)),
      norm_(loader.Load(spec.norm)),
      out_(loader.Load(spec.out)),
      unit_q_(UnitNorm(spec.key_dim,
                       1.0f / std::sqrt(static_cast<float>(spec.key_dim)))),
      unit_k_(UnitNorm(spec.key_dim, 1.0f)) {}

absl::StatusOr<std::unique_ptr<DeltaNet>> DeltaNet::Load(
    const DeltaNetSpec& spec, WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<DeltaNet>(new DeltaNet(spec, loader)));
}

OperatorState DeltaNet::NewState(kernels::KvType) const {
  RecurrentState state;
  state.conv.resize((spec_.conv_kernel - 1) * spec_.conv_channels());
  state.recurrent.resize(kernels::DeltaRuleStateFloats(
      spec_.value_heads, spec_.key_dim, spec_.value_dim));
  return state;
}

void DeltaNet::NormalizeKeys(float* q, size_t ld, size_t rows,
                             kernels::ThreadPool* pool) const {
  const size_t width = spec_.key_width();
  float* k = q + width;
  unit_q_.Apply(q, ld, rows, width, q, ld, pool);
  unit_k_.Apply(k, ld, rows, width, k, ld, pool);
}

void DeltaNet::LogDecay(const float* a, size_t lda, size_t rows,
                        float* g) const {
  const size_t width = spec_.decay_width();
  const size_t per_head = width / spec_.value_heads;
  kernels::Softplus(a, lda, dt_bias_.data(), rows, width, g, width);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < width; ++i) g[r * width + i] *= rate_[i / per_head];
  }
}

void DeltaNet::Forward(const float* x, size_t rows, OperatorState* state,
                       float* out, Workspace* workspace) const {
  RecurrentState& past = std::get<RecurrentState>(*state);
  kernels::ThreadPool* pool = workspace->pool;
  const size_t channels = spec_.conv_channels();
  const size_t heads = spec_.value_heads;
  const size_t value_width = spec_.value_width();
  const size_t decay_width = spec_.decay_width();
  const size_t width = in_.out();
  // Columns: q, k, v [channels], z or what makes it, b [heads], a likewise.
  float* projected = Workspace::Reserve(workspace->projected, rows * width);
  in_.Apply(x, in_.in(), rows, projected, width, pool);
  const float* z = projected + channels;
  const float* b = z + (z_up_.has_value() ? z_up_->in() : value_width);
  const float* a = b + heads;

  kernels::CausalConv1dParams conv;
  conv.x = projected;
  conv.ldx = width;
  conv.rows = rows;
  conv.channels = channels;
  conv.kernel = spec_.conv_kernel;
  conv.taps = taps_.data();
  conv.state = past.conv.data();
  conv.activation = kernels::Activation::kSilu;
  conv.out = Workspace::Reserve(workspace->mixed, rows * channels);
  conv.ldo = channels;
  kernels::CausalConv1d(conv, pool);
  NormalizeKeys(conv.out, channels, rows, pool);

  float* beta =
      Workspace::Reserve(workspace->small, rows * (heads + 2 * decay_width));
  float* g = beta + rows * heads;
  const float beta_scale = static_cast<float>(spec_.beta_scale);
  for (size_t r = 0; r < rows; ++r) {
    kernels::Activate(kernels::Activation::kSigmoid, b + r * width,
                      beta + r * heads, heads);
    kernels::Scale(beta_scale, beta + r * heads, beta + r * heads, heads);
  }
  if (a_up_.has_value()) {
    float* wide = g + rows * decay_width;
    a_up_->Apply(a, width, rows, wide, decay_width, pool);
    LogDecay(wide, decay_width, rows, g);
  } else {
    LogDecay(a, width, rows, g);
  }

  kernels::DeltaRuleParams rule;
  rule.tokens = rows;
  rule.key_heads = spec_.key_heads;
  rule.value_heads = heads;
  rule.key_dim = spec_.key_dim;
  rule.value_dim = spec_.value_dim;
  rule.q = conv.out;
  rule.ldq = channels;
  rule.k = conv.out + spec_.key_width();
  rule.ldk = channels;
  rule.v = conv.out + 2 * spec_.key_width();
  rule.ldv = channels;
  rule.decay_per_key_channel = spec_.decay_per_key_channel;
  rule.g = g;
  rule.ldg = decay_width;
  rule.beta = beta;
  rule.ldbeta = heads;
  rule.state = past.recurrent.data();
  rule.past_tokens = past.tokens;
  rule.y = Workspace::Reserve(workspace->gathered, 2 * rows * value_width);
  rule.ldy = value_width;
  kernels::DeltaRule(rule, pool);
  past.tokens += rows;

  kernels::RmsNormParams norm =
      norm_.Params(rule.y, value_width, rows, value_width, rule.y, value_width);
  norm.gate = z;
  norm.ldg = width;
  if (z_up_.has_value()) {
    float* wide = rule.y + rows * value_width;
    z_up_->Apply(z, width, rows, wide, value_width, pool);
    norm.gate = wide;
    norm.ldg = value_width;
  }
  norm.gate_order = kernels::GateOrder::kNormFirst;
  norm.gate_activation = spec_.sigmoid_gate ? kernels::Activation::kSigmoid
                                            : kernels::Activation::kSilu;
  kernels::RmsNorm(norm, pool);
  out_.Apply(rule.y, value_width, rows, out, out_.out(), pool);
}

}  // namespace braid::model
