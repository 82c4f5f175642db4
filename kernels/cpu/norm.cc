#include "kernels/norm.h"

#include <cmath>
#include <cstring>

#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// Sum of (x[i] - shift)^power, power 1 or 2.
template <int kPower>
HWY_INLINE float ShiftedSum(const float* x, size_t count, float shift) {
  const DF d;
  const VF s = hn::Set(d, shift);
  PartialSums sums;
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      const VF v = hn::Sub(hn::LoadU(d, x + i + j * kLanes), s);
      sums.v[j] =
          kPower == 2 ? hn::MulAdd(v, v, sums.v[j]) : hn::Add(sums.v[j], v);
    }
  }
  float total = Total(sums);
  for (; i < count; ++i) {
    const float v = x[i] - shift;
    total += kPower == 2 ? v * v : v;
  }
  return total;
}

void LayerNormRows(const LayerNormParams& p, size_t begin, size_t end) {
  const DF d;
  const float inverse_dim = 1.0f / static_cast<float>(p.dim);
  for (size_t r = begin; r < end; ++r) {
    const float* x = p.x + r * p.ldx;
    float* out = p.out + r * p.ldo;
    const float mean = ShiftedSum<1>(x, p.dim, 0.0f) * inverse_dim;
    const float variance = ShiftedSum<2>(x, p.dim, mean) * inverse_dim;
    const float scale = 1.0f / std::sqrt(variance + p.epsilon);
    const VF vmean = hn::Set(d, mean);
    const VF vscale = hn::Set(d, scale);
    size_t i = 0;
    for (; i + kLanes <= p.dim; i += kLanes) {
      const VF bias =
          p.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, p.bias + i);
      const VF v = hn::Mul(hn::Sub(hn::LoadU(d, x + i), vmean), vscale);
      hn::StoreU(hn::MulAdd(v, hn::LoadU(d, p.weight + i), bias), d, out + i);
    }
    for (; i < p.dim; ++i) {
      const float bias = p.bias == nullptr ? 0.0f : p.bias[i];
      out[i] = (x[i] - mean) * scale * p.weight[i] + bias;
    }
  }
}

template <Activation kActivation>
struct GateOp {  // in[0] * activation(in[1])
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    const VF gate = ActivateVector<kActivation>(hn::LoadU(d, in[1]));
    hn::StoreU(hn::Mul(hn::LoadU(d, in[0]), gate), d, out);
  }
};

// out = x * activation(gate)
HWY_INLINE void Gate(Activation activation, const float* x, const float* gate,
                     float* out, size_t count) {
  const float* const in[2] = {x, gate};
  if (activation == Activation::kSigmoid) {
    ForEachVector(in, out, count, GateOp<Activation::kSigmoid>());
  } else {
    ForEachVector(in, out, count, GateOp<Activation::kSilu>());
  }
}

struct ScaleWeightOp {  // in[0] * scale * (in[1] + offset)
  float scale;
  float offset;
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    const VF weight = hn::Add(hn::LoadU(d, in[1]), hn::Set(d, offset));
    const VF v = hn::Mul(hn::LoadU(d, in[0]), hn::Set(d, scale));
    hn::StoreU(hn::Mul(v, weight), d, out);
  }
};

void RmsNormRows(const RmsNormParams& p, size_t begin, size_t end) {
  const size_t width = p.dim / p.groups;
  for (size_t r = begin; r < end; ++r) {
    for (size_t g = 0; g < p.groups; ++g) {
      const size_t at = g * width;
      const float* x = p.x + r * p.ldx + at;
      const float* gate = p.gate == nullptr ? nullptr : p.gate + r * p.ldg + at;
      const float* weight = p.weight + (p.weight_shared_by_groups ? 0 : at);
      float* out = p.out + r * p.ldo + at;
      if (gate != nullptr && p.gate_order == GateOrder::kGateFirst) {
        Gate(p.gate_activation, x, gate, out, width);
        x = out;
      }
      const float mean_square =
          ShiftedSum<2>(x, width, 0.0f) / static_cast<float>(width);
      const float scale = 1.0f / std::sqrt(mean_square + p.epsilon);
      const float* const in[2] = {x, weight};
      ForEachVector(in, out, width, ScaleWeightOp{scale, p.weight_offset});
      if (gate != nullptr && p.gate_order == GateOrder::kNormFirst) {
        Gate(p.gate_activation, out, gate, out, width);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(LayerNormRows);
HWY_EXPORT(RmsNormRows);

// Fewer values than this are not worth waking a thread for.
constexpr size_t kMinTaskValues = 32'768;

template <class Params, class Rows>
void OverRows(const Params& p, ThreadPool* pool, const Rows& rows) {
  if (p.rows == 0 || p.dim == 0) return;
  ParallelFor(pool, p.rows, GrainOf(kMinTaskValues, p.dim), rows);
}

}  // namespace

void LayerNorm(const LayerNormParams& params, ThreadPool* pool) {
  OverRows(params, pool, [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(LayerNormRows)(params, begin, end);
  });
}

void RmsNorm(const RmsNormParams& params, ThreadPool* pool) {
  OverRows(params, pool, [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(RmsNormRows)(params, begin, end);
  });
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
