// The register-tiled inner loop of every matrix product, and the packing of its
// right operand. Included once per instruction set.
#if defined(BRAID_KERNELS_CPU_MICRO_KERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_MICRO_KERNEL_INL_H_
#undef BRAID_KERNELS_CPU_MICRO_KERNEL_INL_H_
#else
#define BRAID_KERNELS_CPU_MICRO_KERNEL_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vector registers that hold accumulators: all of them but those for the right
// operand and one broadcast value.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
inline constexpr size_t kAccumulators = 24;  // of 32 registers
#else
inline constexpr size_t kAccumulators = 12;  // of 16 registers
#endif

inline constexpr size_t kPanel = kGroup;  // columns of a panel
// Rows of the widest tile: 12 (two panels) with AVX-512, 6 with AVX2 and NEON.
inline constexpr size_t kMaxRows =
    kVecs == 1 ? kAccumulators / 2
               : (kAccumulators / kVecs > 0 ? kAccumulators / kVecs : 1);
// Panels that a widest tile covers at once.
inline constexpr size_t kMainPanels = kVecs == 1 ? 2 : 1;

// How the left operand lies in memory: element (row, k) at a[row * lda + k], at
// a[k * lda + row], or at a[row * kPanel + k].
enum class Layout { kRowMajor, kColumnMajor, kPanelRows };

template <Layout kLayout>
HWY_INLINE size_t ElementAt(size_t row, size_t k, size_t lda) {
  if constexpr (kLayout == Layout::kRowMajor) {
    return row * lda + k;
  } else if constexpr (kLayout == Layout::kColumnMajor) {
    return k * lda + row;
  } else {
    return row * kPanel + k;
  }
}

// Memory to fetch into the level-2 cache meanwhile: `step` floats on from
// `from` for each step of k. A step of 0 fetches nothing new.
struct Ahead {
  const float* from;
  size_t step;
};

// What the products of a tile are added to.
struct Onto {
  bool c = false;                // what C holds; else C is not read
  const float* scale = nullptr;  // of each row of C before, or null for 1
};
inline constexpr Onto kOntoNothing = {};
inline constexpr Onto kOntoC = {.c = true};

// C[r][j] (+)= sum over k of A[r][k] * B[k][j], for kRows rows and kPanels
// panels of 16 columns. B lies in panels [k][16], `panel_stride` floats apart.
// A sum that begins with C continues the chain of additions that C holds.
template <size_t kRows, size_t kPanels, Layout kLayout>
HWY_NOINLINE void MicroKernel(const float* HWY_RESTRICT a, size_t lda,
                              const float* HWY_RESTRICT b, size_t panel_stride,
                              size_t k, float* HWY_RESTRICT c, size_t ldc,
                              Onto onto, Ahead ahead) {
  const DF d;
  VF acc[kRows][kPanels * kVecs];
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      acc[r][j] = onto.c ? hn::LoadU(d, c + r * ldc + j * kLanes) : hn::Zero(d);
    }
  }
  if (onto.scale != nullptr) {
    BRAID_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const VF scale = hn::Set(d, onto.scale[r]);
      BRAID_UNROLL
      for (size_t j = 0; j < kPanels * kVecs; ++j) {
        acc[r][j] = hn::Mul(acc[r][j], scale);
      }
    }
  }
  for (size_t i = 0; i < k; ++i) {
    __builtin_prefetch(ahead.from + i * ahead.step, /*rw=*/0, /*locality=*/2);
    VF column[kPanels * kVecs];
    BRAID_UNROLL
    for (size_t j = 0; j < kPanels * kVecs; ++j) {
      column[j] = hn::LoadU(d, b + (j / kVecs) * panel_stride + i * kPanel +
                                   (j % kVecs) * kLanes);
    }
    BRAID_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const VF value = hn::Set(d, a[ElementAt<kLayout>(r, i, lda)]);
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

// The same, in halves where the accumulators do not fit the registers.
template <size_t kRows, size_t kPanels, Layout kLayout>
HWY_INLINE void FittingKernel(const float* a, size_t lda, const float* b,
                              size_t panel_stride, size_t k, float* c,
                              size_t ldc, Onto onto, Ahead ahead) {
  if constexpr (kPanels > 1 && kRows * kPanels * kVecs > kAccumulators) {
    constexpr size_t kHalf = kPanels / 2;
    FittingKernel<kRows, kHalf, kLayout>(a, lda, b, panel_stride, k, c, ldc,
                                         onto, ahead);
    FittingKernel<kRows, kHalf, kLayout>(a, lda, b + kHalf * panel_stride,
                                         panel_stride, k, c + kHalf * kPanel,
                                         ldc, onto, ahead);
  } else {
    MicroKernel<kRows, kPanels, kLayout>(a, lda, b, panel_stride, k, c, ldc,
                                         onto, ahead);
  }
}

// The same, for a number of rows (1 to kMaxRows) known at run time.
template <size_t kPanels, Layout kLayout, size_t kRows = kMaxRows>
HWY_INLINE void Tile(size_t rows, const float* a, size_t lda, const float* b,
                     size_t panel_stride, size_t k, float* c, size_t ldc,
                     Onto onto, Ahead ahead) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      Tile<kPanels, kLayout, kRows - 1>(rows, a, lda, b, panel_stride, k, c,
                                        ldc, onto, ahead);
      return;
    }
  }
  FittingKernel<kRows, kPanels, kLayout>(a, lda, b, panel_stride, k, c, ldc,
                                         onto, ahead);
}

// The same, for any number of panels.
template <Layout kLayout>
HWY_INLINE void TileOfPanels(size_t rows, size_t panels, const float* a,
                             size_t lda, const float* b, size_t panel_stride,
                             size_t k, float* c, size_t ldc, Onto onto,
                             Ahead ahead) {
  while (panels > 0) {
    const size_t step = panels >= 4 ? 4 : panels >= 2 ? 2 : 1;
    if (step == 4) {
      Tile<4, kLayout>(rows, a, lda, b, panel_stride, k, c, ldc, onto, ahead);
    } else if (step == 2) {
      Tile<2, kLayout>(rows, a, lda, b, panel_stride, k, c, ldc, onto, ahead);
    } else {
      Tile<1, kLayout>(rows, a, lda, b, panel_stride, k, c, ldc, onto, ahead);
    }
    panels -= step;
    b += step * panel_stride;
    c += step * kPanel;
  }
}

// The same, with nothing to fetch ahead.
template <Layout kLayout>
HWY_INLINE void TileOfPanels(size_t rows, size_t panels, const float* a,
                             size_t lda, const float* b, size_t panel_stride,
                             size_t k, float* c, size_t ldc, Onto onto) {
  TileOfPanels<kLayout>(rows, panels, a, lda, b, panel_stride, k, c, ldc, onto,
                        Ahead{.from = b, .step = 0});
}

constexpr size_t PanelsFor(size_t columns) {
  return (columns + kPanel - 1) / kPanel;
}

// Writes a row of B, `n` long, to the row of panels [n / 16][panel_k][16] that
// `out` points at, zeros in the padding.
HWY_INLINE void PackColumnsRow(const float* row, size_t n, size_t panel_k,
                               float* out) {
  for (size_t p = 0; p < PanelsFor(n); ++p) {
    const float* from = row + p * kPanel;
    float* to = out + p * panel_k * kPanel;
    const size_t width = HWY_MIN(kPanel, n - p * kPanel);
    if (width == kPanel) {
      std::memcpy(to, from, kPanel * sizeof(float));
    } else {
      std::memcpy(to, from, width * sizeof(float));
      std::memset(to + width, 0, (kPanel - width) * sizeof(float));
    }
  }
}

// Packs B [k, n] (rows `ldb` apart) into panels [n / 16][k][16].
HWY_INLINE void PackColumns(const float* b, size_t ldb, size_t k, size_t n,
                            float* out) {
  for (size_t i = 0; i < k; ++i) {
    PackColumnsRow(b + i * ldb, n, k, out + i * kPanel);
  }
}

// to[j][i] = from[i][j] for 4 x 4 floats, rows `ldf` and 16 apart.
HWY_INLINE void Transpose4x4(const float* from, size_t ldf, float* to) {
  const hn::CappedTag<float, 4> d;
  const hn::Repartition<double, decltype(d)> pairs;
  const auto r0 = hn::LoadU(d, from);
  const auto r1 = hn::LoadU(d, from + ldf);
  const auto r2 = hn::LoadU(d, from + 2 * ldf);
  const auto r3 = hn::LoadU(d, from + 3 * ldf);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  const auto store = [&](auto row, size_t j) {
    hn::StoreU(hn::BitCast(d, row), d, to + j * kPanel);
  };
  store(hn::InterleaveLower(pairs, low01, low23), 0);
  store(hn::InterleaveUpper(pairs, low01, low23), 1);
  store(hn::InterleaveLower(pairs, high01, high23), 2);
  store(hn::InterleaveUpper(pairs, high01, high23), 3);
}

// Packs B^T, given as [n, k] (rows `ldb` apart), into panels [n / 16][k][16],
// zeros in the padding.
HWY_INLINE void PackRows(const float* b, size_t ldb, size_t n, size_t k,
                         float* out) {
  for (size_t p = 0; p < PanelsFor(n); ++p) {
    float* panel = out + p * k * kPanel;
    const float* from = b + p * kPanel * ldb;
    const size_t width = HWY_MIN(kPanel, n - p * kPanel);
    if (width < kPanel) std::memset(panel, 0, k * kPanel * sizeof(float));
    const size_t whole_width = width / 4 * 4;
    const size_t whole_k = k / 4 * 4;
    for (size_t i = 0; i < whole_k; i += 4) {
      for (size_t j = 0; j < whole_width; j += 4) {
        Transpose4x4(from + j * ldb + i, ldb, panel + i * kPanel + j);
      }
    }
    for (size_t i = 0; i < k; ++i) {
      const size_t first = i < whole_k ? whole_width : 0;
      for (size_t j = first; j < width; ++j) {
        panel[i * kPanel + j] = from[j * ldb + i];
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_MICRO_KERNEL_INL_H_
