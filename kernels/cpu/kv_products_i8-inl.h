// Matrix products of 16-bit integers and a cache's 8-bit ones. Included once
// per instruction set.
//
// Two multiplications and an addition are one instruction: twice as many in the
// same time as in f32. The left operand, a query or a row of weights, is
// rounded to 2^-15 of its largest element, which adds next to nothing to the
// error that eight bits have; the sums are exact.
#if defined(BRAID_KERNELS_CPU_KV_PRODUCTS_I8_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_KV_PRODUCTS_I8_INL_H_
#undef BRAID_KERNELS_CPU_KV_PRODUCTS_I8_INL_H_
#else
#define BRAID_KERNELS_CPU_KV_PRODUCTS_I8_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DI32 = hn::RebindToSigned<DF>;
using DI16 = hn::Repartition<int16_t, DI32>;  // pairs of what DI32 adds up
using VI32 = hn::Vec<DI32>;
using VI16 = hn::Vec<DI16>;

// kLanes pairs of numbers.
HWY_INLINE VI16 WidenPairs(const int8_t* from) {
  const DI16 d;
  const hn::Rebind<int8_t, DI16> narrow;
  return hn::PromoteTo(d, hn::LoadU(narrow, from));
}

// Sums of products lie in one register, on Arm in two.
#if HWY_ARCH_ARM
inline constexpr size_t kSums = 2;
#else
inline constexpr size_t kSums = 1;
#endif
// Rows of the widest tile below.
inline constexpr size_t kI8Rows =
    kMaxRows / kSums > 0 ? kMaxRows / kSums : size_t{1};
constexpr bool FitsI8(size_t rows, size_t panels) {
  return rows * panels * kVecs * kSums <= kAccumulators;
}

// C[r][j] = sum over i of A[r * lda + i] * B[i][j], for kRows rows and kPanels
// panels of B, [pairs][16][2] each and `panel_stride` numbers apart. Fetches
// from `ahead` on meanwhile, as StreamKernel does.
template <size_t kRows, size_t kPanels>
HWY_NOINLINE void I8Kernel(const int16_t* HWY_RESTRICT a, size_t lda,
                           const int8_t* HWY_RESTRICT b, size_t panel_stride,
                           size_t pairs, int32_t* HWY_RESTRICT c, size_t ldc,
                           const std::byte* ahead) {
  const DI32 d;
  const DI16 d16;
  constexpr size_t kStepBytes = kPanels * kPanel * 2;
  VI32 sum0[kRows][kPanels * kVecs];
  VI32 sum1[kRows][kPanels * kVecs];
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      sum0[r][j] = hn::Zero(d);
      sum1[r][j] = hn::Zero(d);
    }
  }
  for (size_t i = 0; i < pairs; ++i) {
    BRAID_UNROLL
    for (size_t line = 0; line < kStepBytes; line += 64) {
      __builtin_prefetch(ahead + i * kStepBytes + line, /*rw=*/0,
                         /*locality=*/2);
    }
    VI16 column[kPanels * kVecs];
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      column[j] = WidenPairs(b + (j / kVecs) * panel_stride +
                             2 * (i * kPanel + (j % kVecs) * kLanes));
    }
    BRAID_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      int32_t pair;
      std::memcpy(&pair, a + r * lda + 2 * i, sizeof(pair));
      const VI16 value = hn::BitCast(d16, hn::Set(d, pair));
      BRAID_UNROLL
      for (size_t j = 0; j < kPanels * kVecs; ++j) {
        sum0[r][j] = hn::ReorderWidenMulAccumulate(d, value, column[j],
                                                   sum0[r][j], sum1[r][j]);
      }
    }
  }
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      hn::StoreU(hn::RearrangeToOddPlusEven(sum0[r][j], sum1[r][j]), d,
                 c + r * ldc + j * kLanes);
    }
  }
}

// The same for a number of rows (1 to kRows) known at run time.
template <size_t kPanels, size_t kRows = kI8Rows>
HWY_INLINE void I8Tile(size_t rows, const int16_t* a, size_t lda,
                       const int8_t* b, size_t panel_stride, size_t pairs,
                       int32_t* c, size_t ldc, const std::byte* ahead) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      I8Tile<kPanels, kRows - 1>(rows, a, lda, b, panel_stride, pairs, c, ldc,
                                 ahead);
      return;
    }
  }
  if constexpr (FitsI8(kRows, kPanels) || kPanels == 1) {
    I8Kernel<kRows, kPanels>(a, lda, b, panel_stride, pairs, c, ldc, ahead);
  }
}

// The same for at most kI8Rows rows and any number of panels.
HWY_INLINE void I8Panels(size_t rows, size_t panels, const int16_t* a,
                         size_t lda, const int8_t* b, size_t panel_stride,
                         size_t pairs, int32_t* c, size_t ldc,
                         const std::byte* ahead) {
  while (panels > 0) {
    size_t step = 1;
    if (panels >= 4 && FitsI8(rows, 4)) {
      step = 4;
      I8Tile<4>(rows, a, lda, b, panel_stride, pairs, c, ldc, ahead);
    } else if (panels >= 2 && FitsI8(rows, 2)) {
      step = 2;
      I8Tile<2>(rows, a, lda, b, panel_stride, pairs, c, ldc, ahead);
    } else {
      I8Tile<1>(rows, a, lda, b, panel_stride, pairs, c, ldc, ahead);
    }
    panels -= step;
    b += step * panel_stride;
    c += step * kPanel;
    ahead += step * pairs * kPanel * 2;
  }
}

// Rounds `count` numbers, a multiple of 16, to multiples of the step that it
// returns: the `steps`-th part of the largest magnitude.
HWY_INLINE float RoundToSteps(const float* HWY_RESTRICT x, size_t count,
                              float steps, int16_t* HWY_RESTRICT out) {
  const DF d;
  const hn::Rebind<int16_t, DF> narrow;
  VF largest = hn::Zero(d);
  for (size_t i = 0; i < count; i += kLanes) {
    largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i)));
  }
  const float max = hn::GetLane(hn::MaxOfLanes(d, largest));
  // Below, the quotient would overflow: as good as zero.
  const VF inverse = hn::Set(d, max < 0x1p-100f ? 0.0f : steps / max);
  for (size_t i = 0; i < count; i += kLanes) {
    const VI32 rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
    hn::StoreU(hn::DemoteTo(narrow, rounded), narrow, out + i);
  }
  return max / steps;
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_KV_PRODUCTS_I8_INL_H_
