// Softmax attention in f32. Scratch memory is per thread and bounded: it does
// not grow with the square of the length.
#ifndef BRAID_KERNELS_ATTENTION_H_
#define BRAID_KERNELS_ATTENTION_H_

#include <cstddef>

#include "kernels/kv_cache.h"

namespace braid::kernels {

class ThreadPool;

// Bidirectional attention inside each of several sequences that lie one after
// another without padding. Position t of head h is at row t, columns
// [h * head_dim, (h + 1) * head_dim).
struct PackedAttentionParams {
  const float* q = nullptr;  // [total, heads * head_dim]; q, k and v may lie in
  const float* k = nullptr;  // one matrix
  const float* v = nullptr;
  size_t ld = 0;  // distance of rows in q, k and v
  // [num_sequences + 1], ascending: sequence s has rows
  // [offsets[s], offsets[s + 1]).
  const size_t* offsets = nullptr;
  size_t num_sequences = 0;
  size_t heads = 0;
  size_t head_dim = 0;
  float scale = 1.0f;    // usually 1 / sqrt(head_dim)
  float* out = nullptr;  // [total, heads * head_dim]; no overlap with inputs
  size_t ldo = 0;
};

void PackedAttention(const PackedAttentionParams& params, ThreadPool* pool);

// Causal grouped-query attention of the newest `m` tokens of one sequence over
// its keys and values. The cache already holds those of the new tokens: query i
// sees the first cache->tokens() - m + i + 1 of them. Query head h reads
// key/value head h / (heads / kv_heads). Serves prefill in pieces and decode
// (m = 1).
//
// The softmax is a running one (Milakov and Gimelshein 2018), over the pages of
// a segment of the sequence; segments begin at fixed positions, are reduced
// each on its own and then merged in ascending order (as in Flash-Decoding, Dao
// et al. 2023). So several threads can share a long context of few heads, and a
// token's result has the same bits however many tokens and threads there are.
struct CachedAttentionParams {
  const float* q = nullptr;  // [m, heads, head_dim], rows `ldq` apart
  size_t ldq = 0;
  size_t m = 0;  // at most cache->tokens()
  const KvCache* cache = nullptr;
  size_t heads = 0;  // a multiple of the cache's kv_heads
  float scale = 1.0f;
  float* out = nullptr;  // [m, heads, value_dim], rows `ldo` apart
  size_t ldo = 0;
};

void CachedAttention(const CachedAttentionParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_ATTENTION_H_
