// What the attention kernels share: rows of queries that read one key/value
// head, tiles of the paged cache, and the running softmax (Milakov and
// Gimelshein 2018) of a warp's 16 rows.
#ifndef BRAID_KERNELS_CUDA_ATTENTION_BLOCK_CUH_
#define BRAID_KERNELS_CUDA_ATTENTION_BLOCK_CUH_

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_tile.cuh"

namespace braid::kernels::cuda {

inline constexpr int kAttentionBlock = 128;
inline constexpr int kAttentionWarps = kAttentionBlock / kWarp;

// Row r of a sequence and key/value head: token r / share, head
// kv_head * share + r % share, with share = heads / kv_heads.
template <class T>
struct QueryRows {
  const AttentionParams<T>& p;
  int sequence;
  int kv_head;

  __device__ int Share() const { return p.heads / p.kv.kv_heads; }
  __device__ int64_t Count() const { return p.tokens * Share(); }
  __device__ int64_t TokenOf(int64_t row) const { return row / Share(); }
  // Offset of the row's head in a matrix whose rows are `ld` apart.
  __device__ int64_t At(int64_t row, int64_t ld) const {
    const int64_t head =
        static_cast<int64_t>(kv_head) * Share() + row % Share();
    return (sequence * p.tokens + TokenOf(row)) * ld + head * p.kv.head_dim;
  }
};

// Brings the queries of rows [first, first + kRows) to a tile, zeros around
// them. The caller synchronises.
template <int kRows, int kDim, class T>
__device__ void LoadQueries(const QueryRows<T>& rows, int64_t first, T* tile) {
  constexpr int kRow = kDim + kRowPadding<T>;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kDim;
       i += kAttentionBlock) {
    const int row = i / kDim;
    const int column = i % kDim;
    T value = FromFloat<T>(0.0f);
    if (first + row < rows.Count() && column < rows.p.kv.head_dim) {
      value = rows.p.q[rows.At(first + row, rows.p.ldq) + column];
    }
    tile[row * kRow + column] = value;
  }
}

// Begins to bring keys and values of tokens [first, first + kTokens), which lie
// in one page, to tiles [kTokens, kDim]; zeros for tokens at and behind
// `length`.
template <int kTokens, int kDim, class T>
__device__ void BeginKeysAndValues(const PagedKv<T>& kv, int sequence,
                                   int kv_head, int64_t first, int64_t length,
                                   T* keys, T* values) {
  static_assert(kKvPageTokens % kTokens == 0);
  constexpr int kRow = kDim + kRowPadding<T>;
  constexpr int kPacks = kDim / kPackSize<T>;
  const int64_t page = kv.table[sequence * kv.ld_table + first / kKvPageTokens];
  const int64_t head_values = static_cast<int64_t>(kKvPageTokens) * kv.head_dim;
  const T* from = kv.pages + (page * kv.kv_heads + kv_head) * 2 * head_values +
                  first % kKvPageTokens * kv.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < kTokens * kPacks;
       i += kAttentionBlock) {
    const int token = i / kPacks;
    const int column = i % kPacks * kPackSize<T>;
    const bool there = first + token < length && column < kv.head_dim;
    const T* at = there ? from + token * kv.head_dim + column : kv.pages;
    CopyAsync(keys + token * kRow + column, at, there);
    CopyAsync(values + token * kRow + column, there ? at + head_values : at,
              there);
  }
}

// The running softmax of a warp's 16 rows, of which each thread has two: e / 2
// of WarpTile's elements.
template <int kDim>
struct RunningSoftmax {
  WarpTile<1, kDim / 8> sum;  // of weights times values
  float maximum[2] = {-INFINITY, -INFINITY};
  float weight[2] = {};  // sum of weights

  // Takes scores [16, 8 kN] (-infinity: not seen), scales them, leaves their
  // weights in `weights` (rows `ld` apart, of this warp alone), and makes the
  // sums relative to the new maximum.
  template <class T, int kN>
  __device__ void TakeScores(float scale, WarpTile<1, kN>* scores, T* weights,
                             int ld) {
    float highest[2] = {maximum[0], maximum[1]};
    scores->ForEach([&](int, int, float& value) { value *= scale; });
#pragma unroll
    for (int j = 0; j < kN; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        highest[e / 2] = fmaxf(highest[e / 2], scores->acc[0][j][e]);
      }
    }
    float shrink[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {  // over the four threads of a row
      highest[r] = fmaxf(highest[r], __shfl_xor_sync(kAllLanes, highest[r], 1));
      highest[r] = fmaxf(highest[r], __shfl_xor_sync(kAllLanes, highest[r], 2));
      // A row that has seen nothing yet keeps its zeros.
      shrink[r] =
          highest[r] == -INFINITY ? 1.0f : expf(maximum[r] - highest[r]);
      maximum[r] = highest[r];
      weight[r] *= shrink[r];
    }
#pragma unroll
    for (int j = 0; j < kN; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float score = scores->acc[0][j][e];
        const float w =
            score == -INFINITY ? 0.0f : expf(score - highest[e / 2]);
        weight[e / 2] += w;  // of this thread's columns
        weights[WarpTile<1, kN>::RowOf(e) * ld + 8 * j +
                WarpTile<1, kN>::ColumnOf(e)] = FromFloat<T>(w);
      }
    }
#pragma unroll
    for (int j = 0; j < kDim / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) sum.acc[0][j][e] *= shrink[e / 2];
    }
  }

  // Completes `weight`, which each thread has summed over its own columns.
  __device__ void FinishWeights() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      weight[r] += __shfl_xor_sync(kAllLanes, weight[r], 1);
      weight[r] += __shfl_xor_sync(kAllLanes, weight[r], 2);
    }
  }
};

// The narrowest of the dimensions that kernels are made for.
inline int PaddedHeadDim(int head_dim) {
  return head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : 256;
}

// Attention of many rows for each sequence and key/value head, and of at most
// kFewRows.
inline constexpr int kFewRows = 16;

template <class T>
Status AttentionOfMany(const AttentionParams<T>& params, cudaStream_t stream);
template <class T>
Status AttentionOfFew(const AttentionParams<T>& params, float* workspace,
                      cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_ATTENTION_BLOCK_CUH_
