// IEEE 754 half precision (f16) as 16 bits.
#ifndef BRAID_KERNELS_HALF_H_
#define BRAID_KERNELS_HALF_H_

#include <bit>
#include <cstdint>

namespace braid::kernels {

// Exact.
inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u) {  // infinity or NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  }
  if (rest < 0x400u) {  // zero or subnormal: rest * 2^-24
    const float magnitude = static_cast<float>(rest) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
}

// The nearest, ties to even; what is too large becomes the largest finite one.
// NaN stays NaN.
inline uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return sign | 0x7e00u;   // NaN
  if (rest >= 0x477ff000u) return sign | 0x7bffu;  // 65520 and more
  if (rest < 0x38800000u) {                        // below 2^-14
    // Adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded.
    const float shifted = std::bit_cast<float>(rest) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) -
                                        std::bit_cast<uint32_t>(0.5f));
  }
  const uint32_t odd = rest >> 13 & 1;
  return sign |
         static_cast<uint16_t>((rest - (112u << 23) + 0xfffu + odd) >> 13);
}

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_HALF_H_
