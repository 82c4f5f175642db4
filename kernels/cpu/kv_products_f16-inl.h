// Matrix products whose right operand is a cache's 16-bit numbers, read once.
// Included once per instruction set.
#if defined(BRAID_KERNELS_CPU_KV_PRODUCTS_F16_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_KV_PRODUCTS_F16_INL_H_
#undef BRAID_KERNELS_CPU_KV_PRODUCTS_F16_INL_H_
#else
#define BRAID_KERNELS_CPU_KV_PRODUCTS_F16_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// kLanes numbers as f32.
HWY_INLINE VF Widen(const hwy::float16_t* from) {
  const DF d;
  const hn::Rebind<hwy::float16_t, DF> narrow;
  return hn::PromoteTo(d, hn::LoadU(narrow, from));
}

template <typename T>
const std::byte* AsBytes(const T* p) {
  return reinterpret_cast<const std::byte*>(p);
}

// `count` numbers, a multiple of 16, as f32.
HWY_INLINE void WidenAll(const hwy::float16_t* HWY_RESTRICT from, size_t count,
                         float* HWY_RESTRICT to) {
  const DF d;
  for (size_t i = 0; i < count; i += kLanes) {
    hn::StoreU(Widen(from + i), d, to + i);
  }
}

// Rows of the widest tile below.
inline constexpr size_t kStreamRows = HWY_MIN(size_t{8}, kMaxRows);

// C[r][j] (+)= sum over i of A[r * lda + i] * B[i][j], for kRows rows and
// kPanels panels of B, [k][16] each and `panel_stride` numbers apart. The same
// chains of additions as in MicroKernel. Meanwhile fetches as many bytes as it
// reads, from `ahead` on, into the level-2 cache: the products of a cache are
// bound by memory, and the hardware alone does not look far enough.
template <size_t kRows, size_t kPanels>
HWY_NOINLINE void StreamKernel(const float* HWY_RESTRICT a, size_t lda,
                               const hwy::float16_t* HWY_RESTRICT b,
                               size_t panel_stride, size_t k,
                               float* HWY_RESTRICT c, size_t ldc,
                               bool accumulate, const std::byte* ahead) {
  const DF d;
  constexpr size_t kStepBytes = kPanels * kPanel * sizeof(hwy::float16_t);
  VF acc[kRows][kPanels * kVecs];
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      acc[r][j] =
          accumulate ? hn::LoadU(d, c + r * ldc + j * kLanes) : hn::Zero(d);
    }
  }
  for (size_t i = 0; i < k; ++i) {
    BRAID_UNROLL
    for (size_t line = 0; line < kStepBytes; line += 64) {
      __builtin_prefetch(ahead + i * kStepBytes + line, /*rw=*/0,
                         /*locality=*/2);
    }
    VF column[kPanels * kVecs];
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      column[j] = Widen(b + (j / kVecs) * panel_stride + i * kPanel +
                        (j % kVecs) * kLanes);
    }
    BRAID_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const VF value = hn::Set(d, a[r * lda + i]);
      BRAID_UNROLL
      for (size_t j = 0; j < kPanels * kVecs; ++j) {
        acc[r][j] = hn::MulAdd(value, column[j], acc[r][j]);
      }
    }
  }
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      hn::StoreU(acc[r][j], d, c + r * ldc + j * kLanes);
    }
  }
}

// Whether the registers hold the accumulators of a tile.
constexpr bool Fits(size_t rows, size_t panels) {
  return rows * panels * kVecs <= kAccumulators;
}

// The same for a number of rows (1 to kRows) known at run time.
template <size_t kPanels, size_t kRows = kStreamRows>
HWY_INLINE void StreamTile(size_t rows, const float* a, size_t lda,
                           const hwy::float16_t* b, size_t panel_stride,
                           size_t k, float* c, size_t ldc, bool accumulate,
                           const std::byte* ahead) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      StreamTile<kPanels, kRows - 1>(rows, a, lda, b, panel_stride, k, c, ldc,
                                     accumulate, ahead);
      return;
    }
  }
  if constexpr (Fits(kRows, kPanels)) {
    StreamKernel<kRows, kPanels>(a, lda, b, panel_stride, k, c, ldc, accumulate,
                                 ahead);
  }
}

// The same for any number of rows. B comes from memory once: all tiles use it
// while it is in the level-1 cache.
template <size_t kPanels>
HWY_INLINE void StreamGroup(size_t rows, size_t tiles, const float* a,
                            size_t lda, const hwy::float16_t* b,
                            size_t panel_stride, size_t k, float* c, size_t ldc,
                            bool accumulate, const std::byte* ahead) {
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t row = tile * rows / tiles;
    StreamTile<kPanels>((tile + 1) * rows / tiles - row, a + row * lda, lda, b,
                        panel_stride, k, c + row * ldc, ldc, accumulate,
                        tile == 0 ? ahead : AsBytes(b));
  }
}

// The same for any number of panels.
HWY_INLINE void StreamPanels(size_t rows, size_t panels, const float* a,
                             size_t lda, const hwy::float16_t* b,
                             size_t panel_stride, size_t k, float* c,
                             size_t ldc, bool accumulate,
                             const std::byte* ahead) {
  const size_t tiles = (rows + kStreamRows - 1) / kStreamRows;
  const size_t widest = (rows + tiles - 1) / tiles;
  while (panels > 0) {
    size_t step = 1;
    if (panels >= 4 && Fits(widest, 4)) {
      step = 4;
      StreamGroup<4>(rows, tiles, a, lda, b, panel_stride, k, c, ldc,
                     accumulate, ahead);
    } else if (panels >= 2 && Fits(widest, 2)) {
      step = 2;
      StreamGroup<2>(rows, tiles, a, lda, b, panel_stride, k, c, ldc,
                     accumulate, ahead);
    } else {
      StreamGroup<1>(rows, tiles, a, lda, b, panel_stride, k, c, ldc,
                     accumulate, ahead);
    }
    panels -= step;
    b += step * panel_stride;
    c += step * kPanel;
    ahead += step * k * kPanel * sizeof(hwy::float16_t);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_KV_PRODUCTS_F16_INL_H_
