// Values of activations (f32 or bf16) in device code: conversions, accesses of
// 16 bytes, tiles in shared memory, sums over warps and blocks.
#ifndef BRAID_KERNELS_CUDA_VECTOR_CUH_
#define BRAID_KERNELS_CUDA_VECTOR_CUH_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

namespace braid::kernels::cuda {

using bf16 = __nv_bfloat16;

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline float ToFloat(float value) { return value; }
__device__ inline float ToFloat(bf16 value) { return __bfloat162float(value); }

template <class T>
__device__ T FromFloat(float value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __float2bfloat16_rn(value);
  } else {
    return value;
  }
}

// kCount values beside one another that are moved in one access.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T values[kCount];
};

// Values in 16 bytes.
template <class T>
inline constexpr int kPackSize = static_cast<int>(16 / sizeof(T));

template <int kCount, class T>
__device__ void LoadFloats(const T* from, float (&to)[kCount]) {
  const auto pack = *reinterpret_cast<const Pack<T, kCount>*>(from);
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = ToFloat(pack.values[i]);
}

template <int kCount, class T>
__device__ void StoreFloats(const float (&from)[kCount], T* to) {
  Pack<T, kCount> pack;
#pragma unroll
  for (int i = 0; i < kCount; ++i) pack.values[i] = FromFloat<T>(from[i]);
  *reinterpret_cast<Pack<T, kCount>*>(to) = pack;
}

// Whether rows of `ld` values that begin at `pointer` can be read 16 bytes at a
// time. A null pointer can.
template <class T>
bool CanPack(const T* pointer, int64_t ld) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0 &&
         ld % kPackSize<T> == 0;
}

// Brings the corner [rows, cols] of a matrix in device memory into a tile
// [kRows, kCols] in shared memory, zeros around it. `packed` says that CanPack
// holds for the source; rows of the tile are 16-byte aligned. All threads of
// the block take part; the caller synchronises.
template <int kRows, int kCols, int kThreads, class From, class To>
__device__ void LoadTile(const From* from, int64_t ld, int rows, int cols,
                         bool packed, To* tile, int ld_tile) {
  constexpr int kCount = kPackSize<From>;
  static_assert(kCols % kCount == 0);
  constexpr int kPacks = kCols / kCount;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kPacks;
       i += kThreads) {
    const int row = i / kPacks;
    const int col = i % kPacks * kCount;
    float values[kCount] = {};
    const From* source = from + row * ld + col;
    if (row < rows && packed && col + kCount <= cols) {
      LoadFloats<kCount>(source, values);
    } else if (row < rows) {
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        if (col + j < cols) values[j] = ToFloat(source[j]);
      }
    }
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      tile[row * ld_tile + col + j] = FromFloat<To>(values[j]);
    }
  }
}

__device__ inline float WarpSum(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, step);
  }
  return value;
}

__device__ inline float WarpMax(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, step));
  }
  return value;
}

// The sum over a team of kThreads threads, for each of them: a warp, or a whole
// block. Always in the same order.
template <int kThreads>
__device__ float TeamSum(float value) {
  value = WarpSum(value);
  if constexpr (kThreads > kWarp) {
    constexpr int kWarps = kThreads / kWarp;
    __shared__ float sums[kWarps];
    __syncthreads();  // the sums of the call before have been read
    if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
    __syncthreads();
    value = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) value += sums[i];
  }
  return value;
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_VECTOR_CUH_
