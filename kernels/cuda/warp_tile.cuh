// Products of small matrices in shared memory, one warp each. With bf16 they
// run on the tensor cores, with f32 accumulators; with f32 on the ordinary
// units in full precision, each thread with the same elements of the result. So
// a kernel that is written once is fast in bf16 and exact in f32.
#ifndef BRAID_KERNELS_CUDA_WARP_TILE_CUH_
#define BRAID_KERNELS_CUDA_WARP_TILE_CUH_

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {

// Which index of an operand runs along its rows in memory: the one of the sum,
// or the other.
enum class Rows { kOfTheSum, kOfTheResult };

// Values that a row of a tile is longer than its contents: ldmatrix then meets
// no bank twice.
template <class T>
inline constexpr int kRowPadding = kPackSize<T>;

// The result of one warp, [16 kM, 8 kN] in f32. Element e of acc[i][j] is in
// row 16 i + RowOf(e) and column 8 j + ColumnOf(e).
template <int kM, int kN>
struct WarpTile {
  float acc[kM][kN][4] = {};

  __device__ static int RowOf(int e) {
    return static_cast<int>(threadIdx.x) % kWarp / 4 + e / 2 * 8;
  }
  __device__ static int ColumnOf(int e) {
    return static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
  }

  // body(row, column, element) for all elements of this thread.
  template <class Body>
  __device__ void ForEach(const Body& body) {
#pragma unroll
    for (int i = 0; i < kM; ++i) {
#pragma unroll
      for (int j = 0; j < kN; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          body(16 * i + RowOf(e), 8 * j + ColumnOf(e), acc[i][j][e]);
        }
      }
    }
  }
};

// tile += a b over `depth` terms, a multiple of 16.
//   a: element (m, k) at a[m * lda + k], with kA == kOfTheSum at a[k * lda + m]
//   b: element (k, n) at b[n * ldb + k], with kB == kOfTheSum at b[k * ldb + n]
// Rows in memory are 16-byte aligned (lda and ldb multiples of kRowPadding).
template <Rows kA, Rows kB, class T, int kM, int kN>
__device__ void Multiply(const T* a, int lda, const T* b, int ldb, int depth,
                         WarpTile<kM, kN>* tile) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if constexpr (std::is_same_v<T, bf16>) {
    static_assert(kN % 2 == 0);
    // The two orders in which a lane finds its row of four 8 x 8 matrices.
    const int inner = lane % 8 + lane / 8 % 2 * 8;
    const int outer = lane % 8 + lane / 16 * 8;
    for (int k = 0; k < depth; k += 16) {
      uint32_t left[kM][4];
#pragma unroll
      for (int i = 0; i < kM; ++i) {
        if constexpr (kA == Rows::kOfTheResult) {
          LoadMatrices<false>(a + (16 * i + inner) * lda + k + lane / 16 * 8,
                              left[i]);
        } else {
          LoadMatrices<true>(a + (k + outer) * lda + 16 * i + lane / 8 % 2 * 8,
                             left[i]);
        }
      }
#pragma unroll
      for (int j = 0; j < kN; j += 2) {
        uint32_t right[4];
        if constexpr (kB == Rows::kOfTheResult) {
          LoadMatrices<false>(b + (8 * j + outer) * ldb + k + lane / 8 % 2 * 8,
                              right);
        } else {
          LoadMatrices<true>(b + (k + inner) * ldb + 8 * j + lane / 16 * 8,
                             right);
        }
#pragma unroll
        for (int i = 0; i < kM; ++i) {
          Mma(tile->acc[i][j], left[i], right[0], right[1]);
          Mma(tile->acc[i][j + 1], left[i], right[2], right[3]);
        }
      }
    }
  } else {
    const int g = lane / 4;
    const int t = lane % 4 * 2;
    for (int k = 0; k < depth; ++k) {
      float left[kM][2];
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int m = 16 * i + g + 8 * e;
          left[i][e] =
              kA == Rows::kOfTheResult ? a[m * lda + k] : a[k * lda + m];
        }
      }
#pragma unroll
      for (int j = 0; j < kN; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int n = 8 * j + t + e;
          const float right =
              kB == Rows::kOfTheResult ? b[n * ldb + k] : b[k * ldb + n];
#pragma unroll
          for (int i = 0; i < kM; ++i) {
            tile->acc[i][j][e] = fmaf(left[i][0], right, tile->acc[i][j][e]);
            tile->acc[i][j][e + 2] =
                fmaf(left[i][1], right, tile->acc[i][j][e + 2]);
          }
        }
      }
    }
  }
}

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_WARP_TILE_CUH_
