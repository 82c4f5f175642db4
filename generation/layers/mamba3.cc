#include "generation/layers/mamba3.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <utility>

#include "generation/layers/ssd_shape.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "kernels/ssd.h"

namespace braid::model {
namespace {

constexpr double kTurn = 4294967296.0;  // in units of the state's angles

float HeavyTail(float x) { return x < 0 ? 1 / (1 - x) : 1 + x; }

}  // namespace

Mamba3::Mamba3(const Mamba3Spec& spec, WeightLoader& loader)
    : spec_(spec),
      in_(loader.Load(spec.in)),
      dt_bias_(loader.Read(spec.dt_bias)),
      b_norm_(loader.Load(spec.b_norm)),
      c_norm_(loader.Load(spec.c_norm)),
      b_bias_(loader.Read(spec.b_bias)),
      c_bias_(loader.Read(spec.c_bias)),
      d_(loader.Read(spec.d)),
      mimo_x_(loader.Read(spec.mimo_x)),
      mimo_z_(loader.Read(spec.mimo_z)),
      mimo_o_(loader.Read(spec.mimo_o)),
      norm_(loader.Load(spec.norm)),
      out_(loader.Load(spec.out)) {}

absl::StatusOr<std::unique_ptr<Mamba3>> Mamba3::Load(const Mamba3Spec& spec,
                                                     WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Mamba3>(new Mamba3(spec, loader)));
}

OperatorState Mamba3::NewState(kernels::KvType) const {
  RecurrentState state;
  state.recurrent.resize(kernels::SsdStateFloats(ShapeOf(spec_)));
  state.angles.resize(spec_.heads * spec_.angles);
  return state;
}

void Mamba3::Steps(const float* projected, size_t rows, float* steps) const {
  const size_t heads = spec_.heads;
  const size_t at = 2 * (spec_.inner() + spec_.bc_width());  // of dt, a, t
  float* dt = steps;
  float* a = dt + rows * heads;
  float* trapezoid = a + rows * heads;
  kernels::Softplus(projected + at, width(), dt_bias_.data(), rows, heads, dt,
                    heads);
  if (spec_.decay == Mamba3Spec::Decay::kSoftplus) {
    kernels::Softplus(projected + at + heads, width(), nullptr, rows, heads, a,
                      heads);
  }
  const float floor = static_cast<float>(spec_.decay_floor);
  for (size_t r = 0; r < rows; ++r) {
    const float* row = projected + r * width() + at + heads;
    for (size_t h = 0; h < heads; ++h) {
      float& decay = a[r * heads + h];
      if (spec_.decay == Mamba3Spec::Decay::kHeavyTail) {
        decay = HeavyTail(row[h]);
      }
      decay = -std::max(decay, floor);
    }
    kernels::Activate(kernels::Activation::kSigmoid, row + heads,
                      trapezoid + r * heads, heads);
  }
}

void Mamba3::Turn(const float* projected, size_t rows, const float* dt,
                  uint32_t* angles, float* rotations) const {
  const size_t heads = spec_.heads;
  const size_t count = spec_.angles;
  const size_t at = width() - count;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < count; ++i) {
      // pi tanh(angle) dt is half of tanh(angle) dt turns.
      const double rate = 0.5 * std::tanh(projected[r * width() + at + i]);
      for (size_t h = 0; h < heads; ++h) {
        uint32_t& angle = angles[h * count + i];
        const double turns = rate * dt[r * heads + h];
        // Whole turns go before the conversion: they may be many.
        angle += static_cast<uint32_t>(static_cast<int64_t>(
            std::llround((turns - std::floor(turns)) * kTurn)));
        const double radians = angle * (2.0 * std::numbers::pi / kTurn);
        float* rotation = rotations + ((r * heads + h) * count + i) * 2;
        rotation[0] = static_cast<float>(std::cos(radians));
        rotation[1] = static_cast<float>(std::sin(radians));
      }
    }
  }
}

void Mamba3::BiasAndRotate(const float* normed, size_t ld, size_t rows,
                           const std::vector<float>& bias,
                           const float* rotations, float* out,
                           kernels::ThreadPool* pool) const {
  const size_t heads = spec_.heads;
  const size_t rank = spec_.rank;
  const size_t n = spec_.state_dim;
  const size_t angles = spec_.angles;
  const size_t heads_per_group = heads / spec_.groups;
  const size_t step = spec_.rotate_halves ? 1 : 2;
  const size_t partner = spec_.rotate_halves ? n / 2 : 1;
  const auto run = [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      const size_t r = row / rank;
      const size_t j = row % rank;
      for (size_t h = 0; h < heads; ++h) {
        const float* from =
            normed + r * ld + (j * spec_.groups + h / heads_per_group) * n;
        const float* add = bias.data() + (h * rank + j) * n;
        float* to = out + (row * heads + h) * n;
        for (size_t i = 0; i < n; ++i) to[i] = from[i] + add[i];
        const float* rotation = rotations + (r * heads + h) * angles * 2;
        for (size_t i = 0; i < angles; ++i) {
          float& first = to[i * step];
          float& second = to[i * step + partner];
          const float x = first;
          first = x * rotation[2 * i] - second * rotation[2 * i + 1];
          second = x * rotation[2 * i + 1] + second * rotation[2 * i];
        }
      }
    }
  };
  kernels::ParallelFor(pool, rows * rank, kernels::GrainOf(32768, heads * n),
                       run);
}

void Mamba3::GateAndMix(float* y, const float* projected, size_t rows,
                        kernels::ThreadPool* pool) const {
  constexpr kernels::Activation kSilu = kernels::Activation::kSilu;
  const size_t rank = spec_.rank;
  const size_t inner = spec_.inner();
  const size_t dim = spec_.head_dim;
  if (norm_.has_value()) {
    kernels::RmsNormParams norm =
        norm_->Params(y, inner, rows * rank, inner, y, inner);
    norm.groups = spec_.heads;
    kernels::RmsNorm(norm, pool);
  }
  std::vector<float> gate(inner);
  for (size_t r = 0; r < rows; ++r) {
    const float* z = projected + r * width();
    float* to = y + r * inner;
    if (mimo_z_.empty()) {
      kernels::GatedActivation(kSilu, z, to, to, inner);
      continue;
    }
    for (size_t j = 0; j < rank; ++j) {
      float* from = y + (r * rank + j) * inner;
      for (size_t i = 0; i < inner; ++i) {
        gate[i] = z[i] * mimo_z_[(i / dim * rank + j) * dim + i % dim];
      }
      kernels::GatedActivation(kSilu, gate.data(), from, from, inner);
      for (size_t i = 0; i < inner; ++i) {
        const float term =
            from[i] * mimo_o_[(i / dim * rank + j) * dim + i % dim];
        to[i] = j == 0 ? term : to[i] + term;
      }
    }
  }
}

void Mamba3::Forward(const float* x, size_t rows, OperatorState* state,
                     float* out, Workspace* workspace) const {
  RecurrentState& past = std::get<RecurrentState>(*state);
  kernels::ThreadPool* pool = workspace->pool;
  const size_t heads = spec_.heads;
  const size_t rank = spec_.rank;
  const size_t dim = spec_.head_dim;
  const size_t inner = spec_.inner();
  const size_t bc = spec_.bc_width();
  const size_t wide = heads * spec_.state_dim;
  // Columns: z, x, B, C, dt, a, trapezoid, angle.
  float* projected = Workspace::Reserve(workspace->projected, rows * width());
  in_.Apply(x, in_.in(), rows, projected, width(), pool);

  const size_t rotation_floats = rows * heads * spec_.angles * 2;
  float* dt =
      Workspace::Reserve(workspace->small, 3 * rows * heads + rotation_floats);
  float* rotations = dt + 3 * rows * heads;
  Steps(projected, rows, dt);
  Turn(projected, rows, dt, past.angles.data(), rotations);

  float* b = Workspace::Reserve(workspace->mixed, 2 * rows * rank * wide);
  float* c = b + rows * rank * wide;
  float* normed = projected + 2 * inner;
  b_norm_.Apply(normed, width(), rows, bc, normed, width(), pool);
  BiasAndRotate(normed, width(), rows, b_bias_, rotations, b, pool);
  normed += bc;
  c_norm_.Apply(normed, width(), rows, bc, normed, width(), pool);
  BiasAndRotate(normed, width(), rows, c_bias_, rotations, c, pool);

  kernels::SsdParams ssd;
  ssd.shape = ShapeOf(spec_);
  ssd.tokens = rows;
  ssd.y = Workspace::Reserve(workspace->gathered, rows * rank * inner);
  ssd.ldy = inner;
  if (mimo_x_.empty()) {
    ssd.x = projected + inner;
    ssd.ldx = width();
  } else {
    for (size_t row = 0; row < rows * rank; ++row) {
      const float* from = projected + row / rank * width() + inner;
      const size_t j = row % rank;
      for (size_t i = 0; i < inner; ++i) {
        ssd.y[row * inner + i] =
            from[i] * mimo_x_[(i / dim * rank + j) * dim + i % dim];
      }
    }
    ssd.x = ssd.y;
    ssd.ldx = inner;
  }
  ssd.b = b;
  ssd.ldb = wide;
  ssd.c = c;
  ssd.ldc = wide;
  ssd.dt = dt;
  ssd.lddt = heads;
  ssd.a = dt + rows * heads;
  ssd.lda = heads;
  ssd.trapezoid = ssd.a + rows * heads;
  ssd.d = d_.data();
  ssd.state = past.recurrent.data();
  ssd.past_tokens = past.tokens;
  kernels::Ssd(ssd, pool);
  past.tokens += rows;

  GateAndMix(ssd.y, projected, rows, pool);
  out_.Apply(ssd.y, inner, rows, out, out_.out(), pool);
}

}  // namespace braid::model
