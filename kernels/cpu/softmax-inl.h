// The running softmax of attention, in powers of two. Included once per
// instruction set.
#if defined(BRAID_KERNELS_CPU_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_SOFTMAX_INL_H_
#undef BRAID_KERNELS_CPU_SOFTMAX_INL_H_
#else
#define BRAID_KERNELS_CPU_SOFTMAX_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <limits>

#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What is known of one query's softmax after some of its keys.
struct RunningSoftmax {
  float max = -std::numeric_limits<float>::infinity();  // of the scores
  float sum = 0.0f;                                     // of 2^(score - max)
};

// Takes in `count` scores, turns them into weights 2^(score - max), and
// rescales `result`, the sum of weight * value of the keys before, to the new
// maximum. Up to the next multiple of 16, the scores behind are overwritten by
// zeros.
HWY_INLINE void AddScores(float* HWY_RESTRICT scores, size_t count,
                          RunningSoftmax* softmax, float* HWY_RESTRICT result,
                          size_t result_size) {
  const DF d;
  const size_t padded = (count + kGroup - 1) / kGroup * kGroup;
  for (size_t i = count; i < padded; ++i) {
    scores[i] = -std::numeric_limits<float>::infinity();
  }
  const float max = HWY_MAX(softmax->max, MaxOf(scores, padded));
  if (max > softmax->max && softmax->sum > 0.0f) {
    const float correction = std::exp2(softmax->max - max);
    softmax->sum *= correction;
    ScaleInPlace(result, result_size, correction);
  }
  softmax->max = max;
  const VF vmax = hn::Set(d, max);
  PartialSums sums;
  for (size_t i = 0; i < padded; i += kGroup) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      float* at = scores + i + j * kLanes;
      const VF e = Exp2NonPositive(hn::Sub(hn::LoadU(d, at), vmax));
      sums.v[j] = hn::Add(sums.v[j], e);
      hn::StoreU(e, d, at);
    }
  }
  softmax->sum += Total(sums);
}

// Takes in the result of other keys, both in powers of their own maxima.
HWY_INLINE void Merge(const RunningSoftmax& other,
                      const float* HWY_RESTRICT other_result,
                      RunningSoftmax* softmax, float* HWY_RESTRICT result,
                      size_t result_size) {
  const DF d;
  const float max = HWY_MAX(softmax->max, other.max);
  const float mine = std::exp2(softmax->max - max);
  const float others = std::exp2(other.max - max);
  softmax->max = max;
  softmax->sum = softmax->sum * mine + other.sum * others;
  const VF vmine = hn::Set(d, mine);
  const VF vothers = hn::Set(d, others);
  for (size_t i = 0; i < result_size; i += kLanes) {
    const VF scaled = hn::Mul(hn::LoadU(d, result + i), vmine);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, other_result + i), vothers, scaled), d,
               result + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_SOFTMAX_INL_H_
