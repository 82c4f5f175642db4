// Softmax attention in f32. Scratch memory is per thread and bounded: it does
// not grow with the square of the length.
#ifndef BRAID_KERNELS_ATTENTION_H_
#define BRAID_KERNELS_ATTENTION_H_

#include <cstddef>

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
// its key and value cache. The cache already holds the rows of these tokens:
// query i sees cache rows [0, t - m + i]. Query head h reads key/value head
// h / (heads / kv_heads). Serves prefill in pieces and decode (m = 1).
//
// Values may be narrower or wider than keys, and may lie inside the rows of the
// keys: in latent attention with absorbed weights, the value is the first
// value_dim columns of the key.
struct CachedAttentionParams {
  const float* q = nullptr;  // [m, heads, head_dim], rows `ldq` apart
  size_t ldq = 0;
  size_t m = 0;
  const float* k_cache = nullptr;  // [t, kv_heads, head_dim], rows `ldkv` apart
  const float* v_cache = nullptr;  // [t, kv_heads, value_dim], rows `ldv` apart
  size_t ldkv = 0;
  size_t ldv = 0;  // 0: ldkv
  size_t t = 0;    // at least m
  size_t heads = 0;
  size_t kv_heads = 0;   // must divide heads
  size_t head_dim = 0;   // of queries and keys
  size_t value_dim = 0;  // of values and out; 0: head_dim
  float scale = 1.0f;
  float* out = nullptr;  // [m, heads, value_dim], rows `ldo` apart
  size_t ldo = 0;
};

void CachedAttention(const CachedAttentionParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_ATTENTION_H_
