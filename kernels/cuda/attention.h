// Causal grouped-query attention over a paged cache on the GPU.
//
// Keys and values lie in pages of kKvPageTokens tokens. A page holds
//
//   [kv_heads][2][kKvPageTokens][head_dim]     2: keys, values
//
// and a table says for each sequence which page has which of its tokens. T is
// float or __nv_bfloat16, also of the cache; softmax and sums are f32, and with
// bf16 its weights are rounded to bf16 for the product with the values. Lengths
// are read on the device alone: a captured graph serves every length. For what
// holds of all parameters see kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_ATTENTION_H_
#define BRAID_KERNELS_CUDA_ATTENTION_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

inline constexpr int kKvPageTokens = 64;
inline constexpr int kMaxHeadDim = 256;

template <class T>
struct PagedKv {
  int kv_heads = 0;
  int head_dim = 0;    // at most kMaxHeadDim, a multiple of 16 bytes
  T* pages = nullptr;  // 16-byte aligned
  // [sequences, pages of the longest]: page of tokens [64 i, 64 i + 64), rows
  // `ld_table` apart. Entries behind a sequence's length are not read.
  const int32_t* table = nullptr;
  int64_t ld_table = 0;
  // [sequences]: tokens in the cache, those of the call included.
  const int32_t* lengths = nullptr;

  int64_t page_values() const {
    return int64_t{2} * kv_heads * kKvPageTokens * head_dim;
  }
};

// Writes the keys and values of each sequence's newest `tokens` tokens. Token t
// of sequence s is row s * tokens + t and lies at lengths[s] - tokens + t.
template <class T>
struct AppendKvParams {
  PagedKv<T> kv;
  int sequences = 0;
  int64_t tokens = 0;
  const T* k = nullptr;  // [sequences * tokens, kv_heads * head_dim]
  int64_t ldk = 0;
  const T* v = nullptr;  // [sequences * tokens, kv_heads * head_dim]
  int64_t ldv = 0;
};

template <class T>
Status AppendKv(const AppendKvParams<T>& params, cudaStream_t stream);

// Attention of each sequence's newest `tokens` tokens, whose keys and values
// are in the cache already: token t sees the first lengths[s] - tokens + t + 1.
// Query head h reads key/value head h / (heads / kv_heads).
template <class T>
struct AttentionParams {
  PagedKv<T> kv;
  int sequences = 0;
  int64_t tokens = 0;
  const T* q = nullptr;  // [sequences * tokens, heads * head_dim]
  int64_t ldq = 0;
  int heads = 0;  // a multiple of kv_heads
  float scale = 1.0f;
  T* out = nullptr;  // as q; may equal q with ldo == ldq
  int64_t ldo = 0;
};

// With few rows (tokens * heads / kv_heads at most 16: decoding) the tokens of
// a sequence are split over blocks, whose results are merged in ascending order
// (Flash-Decoding, Dao et al. 2023); otherwise a block has 64 rows and walks
// over all they see (FlashAttention-2, Dao 2023). The number of splits depends
// on sequences and kv_heads alone. `workspace` has AttentionWorkspaceBytes()
// bytes, 16-byte aligned; it is not used with many rows.
template <class T>
Status Attention(const AttentionParams<T>& params, void* workspace,
                 cudaStream_t stream);

size_t AttentionWorkspaceBytes(int sequences, int kv_heads, int head_dim);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_ATTENTION_H_
