// The inner loop of products of 8-bit integers. Included once per instruction
// set.
#if defined(BRAID_KERNELS_CPU_QUANTIZED_TILE_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_QUANTIZED_TILE_INL_H_
#undef BRAID_KERNELS_CPU_QUANTIZED_TILE_INL_H_
#else
#define BRAID_KERNELS_CPU_QUANTIZED_TILE_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DI32 = hn::RebindToSigned<DF>;
using DI16 = hn::Repartition<int16_t, DI32>;
using DU16 = hn::Repartition<uint16_t, DI32>;
using DU8 = hn::Repartition<uint8_t, DI32>;
using DI8 = hn::Repartition<int8_t, DI32>;
using DF16 = hn::Rebind<hwy::float16_t, DF>;
using VI32 = hn::Vec<DI32>;
using VI16 = hn::Vec<DI16>;
using VU8 = hn::Vec<DU8>;

inline constexpr size_t kColumns = kGroup;  // of a panel
inline constexpr size_t kQuadBytes = 64;    // four inputs of a panel
inline constexpr size_t kQuadLanes = hn::MaxLanes(DU8());  // bytes of a vector

// Rows and panels of the widest tile: integer and f32 sums, two weights and an
// activation fill the registers.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
inline constexpr size_t kTileRows = 6;
inline constexpr size_t kTilePanels = 2;
#elif HWY_ARCH_ARM_A64
inline constexpr size_t kTileRows = 3;
inline constexpr size_t kTilePanels = 1;
#else
inline constexpr size_t kTileRows = 3;
inline constexpr size_t kTilePanels = 1;
#endif
// Of a tile with one or two rows, which has registers to spare: enough sums in
// flight to hide the latency of the additions.
inline constexpr size_t kFlatRows = 2;
inline constexpr size_t kFlatPanels = 4;
// How far ahead of its codes such a tile fetches them, in bytes.
inline constexpr size_t kFetchAhead = 512;

// Four activations, in every 32-bit lane.
#if HWY_TARGET == HWY_AVX3_DL
struct FourInputs {
  HWY_INLINE explicit FourInputs(const int8_t* at) {
    int32_t four;
    __builtin_memcpy(&four, at, sizeof(four));
    all = hn::Set(DI32(), four);
  }
  VI32 all;
};

// Adds to each 32-bit lane the products of its four weights and the inputs.
// In assembler, because Highway 1.0.3 compiles this target for AVX-VNNI instead
// of AVX512-VNNI (which is what it looks for at run time, rightly).
HWY_INLINE VI32 AddProducts(VI32 sum, VU8 weights, const FourInputs& inputs) {
  asm("vpdpbusd %2, %1, %0"
      : "+v"(sum.raw)
      : "v"(weights.raw), "v"(inputs.all.raw));
  return sum;
}
#else
struct FourInputs {
  HWY_INLINE explicit FourInputs(const int8_t* at) {
    int32_t four;
    __builtin_memcpy(&four, at, sizeof(four));
    const VI16 all = hn::BitCast(DI16(), hn::Set(DI32(), four));
    even = hn::ShiftRight<8>(hn::ShiftLeft<8>(all));
    odd = hn::ShiftRight<8>(all);
  }
  VI16 even;  // inputs 0 and 2, widened
  VI16 odd;   // 1 and 3
};

// sum + products of neighbours, added up in pairs.
HWY_INLINE VI32 AddPairs(VI32 sum, VI16 a, VI16 b) {
#if HWY_ARCH_ARM_A64
  const int32x4_t low = vmull_s16(vget_low_s16(a.raw), vget_low_s16(b.raw));
  const int32x4_t high = vmull_high_s16(a.raw, b.raw);
  return VI32(vaddq_s32(sum.raw, vpaddq_s32(low, high)));
#else
  VI32 unused = hn::Zero(DI32());
  return hn::ReorderWidenMulAccumulate(DI32(), a, b, sum, unused);
#endif
}

HWY_INLINE VI32 AddProducts(VI32 sum, VU8 weights, const FourInputs& inputs) {
  const DI16 d16;
  const VI16 pairs = hn::BitCast(d16, weights);
  const VI16 even = hn::And(pairs, hn::Set(d16, 0xff));
  const VI16 odd =
      hn::BitCast(d16, hn::ShiftRight<8>(hn::BitCast(DU16(), weights)));
  return AddPairs(AddPairs(sum, even, inputs.even), odd, inputs.odd);
}
#endif

struct QuantizedTileArgs {
  // Activations, from the tile's first row and first group on.
  const int8_t* a;  // rows `lda` apart
  size_t lda;
  const float* a_scales;  // [row][group], rows `ldg` apart, as the next ones
  const int32_t* starts;  // what a group's sum begins with
  const float* a_sums;    // of the activations of a group, where zeros are
  size_t ldg;
  // Weights, from the tile's first panel and first group on.
  const uint8_t* codes;
  size_t codes_stride;     // bytes between panels
  const uint16_t* scales;  // [panel][group][16]
  const uint8_t* zeros;    // likewise, or null
  size_t scales_stride;    // elements between panels
  size_t groups;
  size_t group_quads;  // quads of inputs in a group: a multiple of 8
  float* sums;         // [row][panels * 16]
  bool accumulate;     // go on from what `sums` holds
};

// The weights of one quad of one panel, of kQuadBytes from `at`; in 4 bits of
// two, told apart by `high`.
template <bool kNibbles>
HWY_INLINE VU8 LoadQuad(const uint8_t* at, bool high) {
  const DU8 d;
  const VU8 bytes = hn::LoadU(d, at);
  if constexpr (!kNibbles) return bytes;
  const VU8 low_bits = hn::Set(d, 15);
  if (!high) return hn::And(bytes, low_bits);
  return hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(DU16(), bytes))),
                 low_bits);
}

// One tile over `groups` groups.
template <size_t kRows, size_t kPanels, bool kNibbles>
HWY_NOINLINE void QuantizedTile(const QuantizedTileArgs& t) {
  const DF d;
  const DI32 di;
  constexpr size_t kVectors = kPanels * kVecs;
  constexpr size_t kQuadsAtOnce = kNibbles ? 2 : 1;
  VF sums[kRows][kVectors];
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVectors; ++j) {
      sums[r][j] = t.accumulate
                       ? hn::LoadU(d, t.sums + (r * kVectors + j) * kLanes)
                       : hn::Zero(d);
    }
  }
  const uint8_t* codes = t.codes;
  const int8_t* a = t.a;
  // From here on, what lies ahead are the next kPanels panels.
  const uint8_t* const near_end = t.codes + t.codes_stride - kFetchAhead;
  for (size_t g = 0; g < t.groups; ++g) {
    if constexpr (kRows <= kFlatRows) {
      BRAID_UNROLL
      for (size_t p = 0; p < kPanels; ++p) {
        __builtin_prefetch(
            t.scales + (kPanels + p) * t.scales_stride + g * kColumns, 0, 3);
      }
    }
    VI32 products[kRows][kVectors];
    BRAID_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      // The rows of the next tile, a few cache lines of each at a time: streams
      // so short are not fetched ahead by themselves.
      for (size_t i = 0; kRows > kFlatRows && i < t.group_quads * 4; i += 64) {
        __builtin_prefetch(a + (kRows + r) * t.lda + i);
      }
      const VI32 start = hn::Set(di, t.starts[r * t.ldg + g]);
      BRAID_UNROLL
      for (size_t j = 0; j < kVectors; ++j) products[r][j] = start;
    }
    for (size_t quad = 0; quad < t.group_quads; quad += kQuadsAtOnce) {
      BRAID_UNROLL
      for (size_t part = 0; part < kQuadsAtOnce; ++part) {
        VU8 weights[kVectors];
        if constexpr (kRows <= kFlatRows) {
          // Memory is slower than the arithmetic of so few rows.
          const size_t ahead =
              codes < near_end ? kFetchAhead
                               : kFetchAhead + (kPanels - 1) * t.codes_stride;
          BRAID_UNROLL
          for (size_t p = 0; p < kPanels && part == 0; ++p) {
            __builtin_prefetch(codes + p * t.codes_stride + ahead, 0, 3);
          }
        }
        BRAID_UNROLL
        for (size_t j = 0; j < kVectors; ++j) {
          weights[j] = LoadQuad<kNibbles>(
              codes + j / kVecs * t.codes_stride + j % kVecs * kQuadLanes,
              part == 1);
        }
        BRAID_UNROLL
        for (size_t r = 0; r < kRows; ++r) {
          const FourInputs inputs(a + r * t.lda + part * 4);
          BRAID_UNROLL
          for (size_t j = 0; j < kVectors; ++j) {
            products[r][j] = AddProducts(products[r][j], weights[j], inputs);
          }
        }
      }
      codes += kQuadBytes;
      a += 4 * kQuadsAtOnce;
    }
    BRAID_UNROLL
    for (size_t j = 0; j < kVectors; ++j) {
      const size_t at =
          j / kVecs * t.scales_stride + g * kColumns + j % kVecs * kLanes;
      const VF scale = hn::PromoteTo(
          d, hn::LoadU(DF16(),
                       reinterpret_cast<const hwy::float16_t*>(t.scales + at)));
      BRAID_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        const VF factor = hn::Mul(scale, hn::Set(d, t.a_scales[r * t.ldg + g]));
        sums[r][j] =
            hn::MulAdd(hn::ConvertTo(d, products[r][j]), factor, sums[r][j]);
      }
      if (t.zeros == nullptr) continue;
      const hn::Rebind<uint8_t, DF> d8;
      const VF zero = hn::Mul(
          scale,
          hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, t.zeros + at))));
      BRAID_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        sums[r][j] = hn::NegMulAdd(hn::Set(d, t.a_sums[r * t.ldg + g]), zero,
                                   sums[r][j]);
      }
    }
  }
  BRAID_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVectors; ++j) {
      hn::StoreU(sums[r][j], d, t.sums + (r * kVectors + j) * kLanes);
    }
  }
}

// The same for a number of rows known at run time, 1 to kRows.
template <size_t kPanels, bool kNibbles, size_t kRows>
HWY_INLINE void QuantizedTileOfRows(size_t rows, const QuantizedTileArgs& t) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      QuantizedTileOfRows<kPanels, kNibbles, kRows - 1>(rows, t);
      return;
    }
  }
  QuantizedTile<kRows, kPanels, kNibbles>(t);
}

// The low and the high bits of `count` bytes, a multiple of 64, as quads of
// 8-bit codes in the order of the inputs.
HWY_INLINE void UnpackNibbles(const uint8_t* from, size_t count, uint8_t* to) {
  const DU8 d;
  for (size_t i = 0; i < count; i += kQuadBytes) {
    BRAID_UNROLL
    for (size_t j = 0; j < kQuadBytes; j += kQuadLanes) {
      hn::StoreU(LoadQuad<true>(from + i + j, false), d, to + 2 * i + j);
      hn::StoreU(LoadQuad<true>(from + i + j, true), d,
                 to + 2 * i + kQuadBytes + j);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_QUANTIZED_TILE_INL_H_
