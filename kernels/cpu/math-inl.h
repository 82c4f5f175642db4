// Vectors of f32 functions. Included once per instruction set.
#if defined(BRAID_KERNELS_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_MATH_INL_H_
#undef BRAID_KERNELS_CPU_MATH_INL_H_
#else
#define BRAID_KERNELS_CPU_MATH_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/activation.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// All kernels work on groups of 16 floats, whatever the vector length, so that
// sums are taken in the same order everywhere.
inline constexpr size_t kGroup = 16;
using DF = hn::CappedTag<float, kGroup>;
using VF = hn::Vec<DF>;
inline constexpr size_t kLanes = hn::MaxLanes(DF());
inline constexpr size_t kVecs = kGroup / kLanes;  // vectors per group

// 2^x for x <= 0, to 1 unit in the last place; 0 below 2^-126. In fewer
// instructions than hn::Exp.
//
// x = n + r with |r| <= 1/2, and 2^r = 1 + r Q(r): Q, of degree 5, interpolates
// at the Chebyshev nodes, which leaves a relative error of 1e-8.
HWY_INLINE VF Exp2NonPositive(VF x) {
  const DF d;
  const VF smallest = hn::Set(d, -126.0f);
#if HWY_TARGET <= HWY_AVX3
  const VF bounded = x;  // what is smaller is zero in the end
#else
  const VF bounded = hn::Max(x, smallest);  // for the exponent's bits
#endif
  const VF n = hn::Round(bounded);
  const VF r = hn::Sub(bounded, n);
  VF p = hn::Set(d, 0.00015453163359779865f);
  p = hn::MulAdd(p, r, hn::Set(d, 0.0013390863314270973f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.009618083015084267f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.055503569543361664f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.24022650718688965f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.6931471824645996f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
#if HWY_TARGET <= HWY_AVX3
  const VF power{_mm512_scalef_ps(p.raw, n.raw)};
#else
  const hn::RebindToSigned<DF> di;
  const auto exponent =
      hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  const VF power = hn::Mul(p, hn::BitCast(d, exponent));
#endif
  // Not Ge: what is not a number stays so.
  return hn::IfThenZeroElse(hn::Lt(x, smallest), power);
}

// 1 / (1 + exp(-x)), from exp(-|x|) so that nothing overflows.
HWY_INLINE VF Sigmoid(VF x) {
  const DF d;
  const VF one = hn::Set(d, 1.0f);
  const VF e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  const VF numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one);
  return hn::Div(numerator, hn::Add(one, e));
}

HWY_INLINE VF Silu(VF x) { return hn::Mul(x, Sigmoid(x)); }

HWY_INLINE VF Relu2(VF x) {
  const VF positive = hn::Max(x, hn::Zero(DF()));
  return hn::Mul(positive, positive);
}

// x Phi(x), with Phi the normal distribution function, which is
// (1 + erf(x / sqrt 2)) / 2.
//
// The upper tail Q(u) = 1 - Phi(u), u = |x|, is exp(-u^2 / 2) t P(t) with
// t = 1 / (1 + 0.21 u). P, of degree 8, is a least-maximum fit in relative
// error (1.6e-8 over 0 <= u <= 14, beyond which Q(u) is below the smallest
// f32). Working on the tail keeps the relative accuracy for negative x, where
// 1 + erf cancels.
HWY_INLINE VF Gelu(VF x) {
  const DF d;
  const VF u = hn::Abs(x);
  const VF one = hn::Set(d, 1.0f);
  const VF t = hn::Div(one, hn::MulAdd(u, hn::Set(d, 0.21f), one));
  VF p = hn::Set(d, -0.07165582478046417f);
  p = hn::MulAdd(p, t, hn::Set(d, 0.28358617424964905f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.33024832606315613f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.34939509630203247f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.09392099827528f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.12487086653709412f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.06919267028570175f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.08506878465414047f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.08371157944202423f));
  const VF e = hn::Exp(d, hn::Mul(hn::Mul(u, u), hn::Set(d, -0.5f)));
  const VF tail = hn::Mul(hn::Mul(e, t), p);
  const VF phi =
      hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  return hn::Mul(x, phi);
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))
HWY_INLINE VF SoftplusOf(VF x) {
  const DF d;
  const VF e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  return hn::Add(hn::Max(x, hn::Zero(d)), hn::Log1p(d, e));
}

template <Activation kActivation>
HWY_INLINE VF ActivateVector(VF x) {
  if constexpr (kActivation == Activation::kGelu) {
    return Gelu(x);
  } else if constexpr (kActivation == Activation::kSilu) {
    return Silu(x);
  } else if constexpr (kActivation == Activation::kRelu2) {
    return Relu2(x);
  } else if constexpr (kActivation == Activation::kSigmoid) {
    return Sigmoid(x);
  } else {
    return x;
  }
}

// Calls `op(i)` for groups of 16 indices and hands the tail, copied into whole
// groups, to the same code: Op::Run(const float* in[kInputs], float* out) works
// on one vector.
template <size_t kInputs, class Op>
HWY_INLINE void ForEachVector(const float* const (&inputs)[kInputs], float* out,
                              size_t count, const Op& op) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const float* at[kInputs];
    for (size_t j = 0; j < kInputs; ++j) at[j] = inputs[j] + i;
    op.Run(at, out + i);
  }
  if (i == count) return;
  const size_t tail = count - i;
  HWY_ALIGN float padded[kInputs][kGroup] = {};
  HWY_ALIGN float result[kGroup];
  const float* at[kInputs];
  for (size_t j = 0; j < kInputs; ++j) {
    std::memcpy(padded[j], inputs[j] + i, tail * sizeof(float));
    at[j] = padded[j];
  }
  op.Run(at, result);
  std::memcpy(out + i, result, tail * sizeof(float));
}

// Sixteen partial sums, zero at first, added up in a fixed order.
struct PartialSums {
  // Written out: on Arm, GCC gives an implicit one no vector instructions.
  HWY_INLINE PartialSums() {
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) v[j] = hn::Zero(DF());
  }
  VF v[kVecs];
};

// The upper half of what is left is added to the lower one, again and again.
template <class D>
HWY_INLINE float TotalOfLanes(D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return TotalOfLanes(
        half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  } else {
    HWY_ALIGN float lanes[4];
    hn::Store(v, d, lanes);
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  }
}

HWY_INLINE float Total(const PartialSums& sums) {
  VF v[kVecs];
  BRAID_UNROLL
  for (size_t j = 0; j < kVecs; ++j) v[j] = sums.v[j];
  BRAID_UNROLL
  for (size_t count = kVecs / 2; count > 0; count /= 2) {
    BRAID_UNROLL
    for (size_t j = 0; j < count; ++j) v[j] = hn::Add(v[j], v[j + count]);
  }
  return TotalOfLanes(DF(), v[0]);
}

// The same without the promise about the order: a few instructions.
HWY_INLINE float FastTotal(const PartialSums& sums) {
  const DF d;
  VF v = sums.v[0];
  BRAID_UNROLL
  for (size_t j = 1; j < kVecs; ++j) v = hn::Add(v, sums.v[j]);
  return hn::GetLane(hn::SumOfLanes(d, v));
}

// Sum of a[i] * b[i].
template <bool kFixedOrder>
HWY_INLINE float DotProduct(const float* a, const float* b, size_t count) {
  const DF d;
  PartialSums sums;
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      sums.v[j] = hn::MulAdd(hn::LoadU(d, a + i + j * kLanes),
                             hn::LoadU(d, b + i + j * kLanes), sums.v[j]);
    }
  }
  float total = kFixedOrder ? Total(sums) : FastTotal(sums);
  for (; i < count; ++i) total += a[i] * b[i];
  return total;
}

// In place: exp(row[i] - max), and the sum of these.
HWY_INLINE float ExpSum(float* row, size_t count, float max) {
  const DF d;
  const VF vmax = hn::Set(d, max);
  PartialSums sums;
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      float* at = row + i + j * kLanes;
      const VF e = hn::Exp(d, hn::Sub(hn::LoadU(d, at), vmax));
      hn::StoreU(e, d, at);
      sums.v[j] = hn::Add(sums.v[j], e);
    }
  }
  float total = Total(sums);
  if (i < count) {
    HWY_ALIGN float padded[kGroup] = {};
    std::memcpy(padded, row + i, (count - i) * sizeof(float));
    for (size_t j = 0; j < kGroup; j += kLanes) {
      hn::Store(hn::Exp(d, hn::Sub(hn::Load(d, padded + j), vmax)), d,
                padded + j);
    }
    std::memcpy(row + i, padded, (count - i) * sizeof(float));
    for (size_t j = 0; j < count - i; ++j) total += padded[j];
  }
  return total;
}

HWY_INLINE float MaxOf(const float* row, size_t count) {
  const DF d;
  float max = row[0];
  size_t i = 0;
  if (count >= kLanes) {
    VF v = hn::LoadU(d, row);
    for (i = kLanes; i + kLanes <= count; i += kLanes) {
      v = hn::Max(v, hn::LoadU(d, row + i));
    }
    max = hn::GetLane(hn::MaxOfLanes(d, v));
  }
  for (; i < count; ++i) max = HWY_MAX(max, row[i]);
  return max;
}

HWY_INLINE void ScaleInPlace(float* row, size_t count, float scale) {
  const DF d;
  const VF s = hn::Set(d, scale);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, row + i), s), d, row + i);
  }
  for (; i < count; ++i) row[i] *= scale;
}

// Asks for a row that is needed soon, for where rows lie so far apart that no
// processor guesses the next one. A few at a time: it waits for none of them,
// but only so many can be on their way.
HWY_INLINE void FetchRow(const float* row, size_t count) {
  for (size_t i = 0; i < count; i += 64 / sizeof(float)) {
    __builtin_prefetch(row + i, /*rw=*/0, /*locality=*/2);
  }
}

// out[i] += scale * x[i]
HWY_INLINE void AddScaledTo(float* out, const float* x, size_t count,
                            float scale) {
  const DF d;
  const VF s = hn::Set(d, scale);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, x + i), s, hn::LoadU(d, out + i)), d,
               out + i);
  }
  for (; i < count; ++i) out[i] += scale * x[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_MATH_INL_H_
