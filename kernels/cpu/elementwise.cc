#include "kernels/elementwise.h"

#include <cstring>
#include <limits>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

template <Activation kActivation>
struct ActivateOp {
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    hn::StoreU(ActivateVector<kActivation>(hn::LoadU(d, in[0])), d, out);
  }
};

template <Activation kActivation>
struct GatedOp {
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    const VF gate = ActivateVector<kActivation>(hn::LoadU(d, in[0]));
    hn::StoreU(hn::Mul(gate, hn::LoadU(d, in[1])), d, out);
  }
};

struct SoftplusOp {
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    hn::StoreU(SoftplusOf(hn::LoadU(d, in[0])), d, out);
  }
};

struct BiasedSoftplusOp {
  HWY_INLINE void Run(const float* const* in, float* out) const {
    const DF d;
    const VF x = hn::Add(hn::LoadU(d, in[0]), hn::LoadU(d, in[1]));
    hn::StoreU(SoftplusOf(x), d, out);
  }
};

void ActivateImpl(Activation activation, const float* x, float* out,
                  size_t count) {
  const float* const in[1] = {x};
  switch (activation) {
    case Activation::kNone:
      if (out != x) std::memcpy(out, x, count * sizeof(float));
      break;
    case Activation::kGelu:
      ForEachVector(in, out, count, ActivateOp<Activation::kGelu>());
      break;
    case Activation::kSilu:
      ForEachVector(in, out, count, ActivateOp<Activation::kSilu>());
      break;
    case Activation::kRelu2:
      ForEachVector(in, out, count, ActivateOp<Activation::kRelu2>());
      break;
    case Activation::kSigmoid:
      ForEachVector(in, out, count, ActivateOp<Activation::kSigmoid>());
      break;
  }
}

void GatedActivationImpl(Activation activation, const float* gate,
                         const float* up, float* out, size_t count) {
  const float* const in[2] = {gate, up};
  switch (activation) {
    case Activation::kNone:
      ForEachVector(in, out, count, GatedOp<Activation::kNone>());
      break;
    case Activation::kGelu:
      ForEachVector(in, out, count, GatedOp<Activation::kGelu>());
      break;
    case Activation::kSilu:
      ForEachVector(in, out, count, GatedOp<Activation::kSilu>());
      break;
    case Activation::kRelu2:
      ForEachVector(in, out, count, GatedOp<Activation::kRelu2>());
      break;
    case Activation::kSigmoid:
      ForEachVector(in, out, count, GatedOp<Activation::kSigmoid>());
      break;
  }
}

void AddScaledImpl(float scale, const float* x, float* out, size_t count) {
  AddScaledTo(out, x, count, scale);
}

void ScaleImpl(float scale, const float* x, float* out, size_t count) {
  if (out != x) std::memmove(out, x, count * sizeof(float));
  ScaleInPlace(out, count, scale);
}

void SoftplusImpl(const float* x, size_t ldx, const float* bias, size_t rows,
                  size_t dim, float* out, size_t ldo) {
  for (size_t r = 0; r < rows; ++r) {
    const float* row = x + r * ldx;
    if (bias == nullptr) {
      const float* const in[1] = {row};
      ForEachVector(in, out + r * ldo, dim, SoftplusOp());
    } else {
      const float* const in[2] = {row, bias};
      ForEachVector(in, out + r * ldo, dim, BiasedSoftplusOp());
    }
  }
}

void SoftmaxImpl(float* row, size_t count) {
  if (count == 0) return;
  const float sum = ExpSum(row, count, MaxOf(row, count));
  ScaleInPlace(row, count, 1.0f / sum);
}

size_t ArgMaxImpl(const float* x, size_t count) {
  const DF d;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  constexpr size_t kChains = 4;  // enough to hide the latency of Max
  const VF lowest = hn::Set(d, kLowest);
  VF largest[kChains] = {lowest, lowest, lowest, lowest};
  size_t i = 0;
  for (; i + kChains * kLanes <= count; i += kChains * kLanes) {
    BRAID_UNROLL
    for (size_t j = 0; j < kChains; ++j) {
      const VF v = hn::LoadU(d, x + i + j * kLanes);
      // A NaN equals nothing, itself included.
      const VF number = hn::IfThenElse(hn::Eq(v, v), v, lowest);
      largest[j] = hn::Max(largest[j], number);
    }
  }
  float max =
      hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(largest[0], largest[1]),
                                            hn::Max(largest[2], largest[3]))));
  for (; i < count; ++i) max = x[i] > max ? x[i] : max;
  if (max == kLowest) return 0;
  const VF wanted = hn::Set(d, max);
  for (i = 0; i + kLanes <= count; i += kLanes) {
    const intptr_t found =
        hn::FindFirstTrue(d, hn::Eq(hn::LoadU(d, x + i), wanted));
    if (found >= 0) return i + static_cast<size_t>(found);
  }
  while (x[i] != max) ++i;
  return i;
}

float DotImpl(const float* a, const float* b, size_t count) {
  return DotProduct</*kFixedOrder=*/true>(a, b, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(ActivateImpl);
HWY_EXPORT(GatedActivationImpl);
HWY_EXPORT(AddScaledImpl);
HWY_EXPORT(ScaleImpl);
HWY_EXPORT(SoftplusImpl);
HWY_EXPORT(SoftmaxImpl);
HWY_EXPORT(ArgMaxImpl);
HWY_EXPORT(DotImpl);

}  // namespace

void Activate(Activation activation, const float* x, float* out, size_t count) {
  HWY_DYNAMIC_DISPATCH(ActivateImpl)(activation, x, out, count);
}

void GatedActivation(Activation activation, const float* gate, const float* up,
                     float* out, size_t count) {
  HWY_DYNAMIC_DISPATCH(GatedActivationImpl)(activation, gate, up, out, count);
}

void AddScaled(float scale, const float* x, float* out, size_t count) {
  HWY_DYNAMIC_DISPATCH(AddScaledImpl)(scale, x, out, count);
}

void Scale(float scale, const float* x, float* out, size_t count) {
  HWY_DYNAMIC_DISPATCH(ScaleImpl)(scale, x, out, count);
}

void Softplus(const float* x, size_t ldx, const float* bias, size_t rows,
              size_t dim, float* out, size_t ldo) {
  HWY_DYNAMIC_DISPATCH(SoftplusImpl)(x, ldx, bias, rows, dim, out, ldo);
}

void Softmax(float* row, size_t count) {
  HWY_DYNAMIC_DISPATCH(SoftmaxImpl)(row, count);
}

size_t ArgMax(const float* x, size_t count) {
  return HWY_DYNAMIC_DISPATCH(ArgMaxImpl)(x, count);
}

float Dot(const float* a, const float* b, size_t count) {
  return HWY_DYNAMIC_DISPATCH(DotImpl)(a, b, count);
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
