// Codes in registers made bf16.
#ifndef BRAID_KERNELS_CUDA_DEQUANTIZE_CUH_
#define BRAID_KERNELS_CUDA_DEQUANTIZE_CUH_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {

// Two values of bf16 in one register, as the matrix instructions take them.
__device__ inline uint32_t BitsOf(__nv_bfloat162 pair) {
  uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

__device__ inline __nv_bfloat162 PairOf(uint32_t bits) {
  __nv_bfloat162 pair;
  memcpy(&pair, &bits, sizeof(bits));
  return pair;
}

// A thread takes 16 bytes of codes of one row at a time: kWords of 32 bits,
// each kPairs pairs of codes. Pairs() are their weights, and Inputs() the
// inputs that meet them, in the same order.
template <int kBits>
struct Codes;

// Four codes in a word, in their order.
template <>
struct Codes<8> {
  static constexpr int kPairs = 2;
  static constexpr int kCodes = 4;  // of a word

  __device__ static void Pairs(uint32_t word, float scale, float zero,
                               uint32_t (&pairs)[kPairs]) {
    // 2^23 + code, exactly.
    const float offset = 8388608.0f + zero;
    float weights[kCodes];
#pragma unroll
    for (int i = 0; i < kCodes; ++i) {
      const uint32_t bits =
          __byte_perm(word, 0x4b000000u, 0x7650u + static_cast<uint32_t>(i));
      weights[i] = (__uint_as_float(bits) - offset) * scale;
    }
    pairs[0] = BitsOf(__floats2bfloat162_rn(weights[0], weights[1]));
    pairs[1] = BitsOf(__floats2bfloat162_rn(weights[2], weights[3]));
  }

  // Of 4 inputs in two registers.
  __device__ static void Inputs(const uint32_t* from,
                                uint32_t (&pairs)[kPairs]) {
    pairs[0] = from[0];
    pairs[1] = from[1];
  }
};

// Eight codes in a word; pair i is codes i and i + 4, which one mask takes out.
template <>
struct Codes<4> {
  static constexpr int kPairs = 4;
  static constexpr int kCodes = 8;

  __device__ static void Pairs(uint32_t word, float scale, float zero,
                               uint32_t (&pairs)[kPairs]) {
    // 128 + code: the bits of bf16 128 with the code in its last place. All of
    // it is exact but for the product.
    const __nv_bfloat162 offset = __float2bfloat162_rn(128.0f + zero);
    const __nv_bfloat162 factor = __float2bfloat162_rn(scale);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const uint32_t bits = (word >> (4 * i) & 0x000f000fu) | 0x43004300u;
      pairs[i] = BitsOf(__hmul2(__hsub2(PairOf(bits), offset), factor));
    }
  }

  // Of 8 inputs in four registers.
  __device__ static void Inputs(const uint32_t* from,
                                uint32_t (&pairs)[kPairs]) {
    pairs[0] = __byte_perm(from[0], from[2], 0x5410u);
    pairs[1] = __byte_perm(from[0], from[2], 0x7632u);
    pairs[2] = __byte_perm(from[1], from[3], 0x5410u);
    pairs[3] = __byte_perm(from[1], from[3], 0x7632u);
  }
};

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_DEQUANTIZE_CUH_
