// The gated delta rule, in f32: the recurrence of Gated DeltaNet (Yang, Kautz,
// Hatamizadeh 2024, section 3) and, with a decay for each key channel, of Kimi
// Delta Attention (Kimi Linear report, 2025).
//
// For each value head h with its key head h / (value_heads / key_heads):
//
//   S  = diag(exp(g)) S                                [key_dim, value_dim]
//   S += k (beta (v - S^T k))^T
//   y  = S^T q                                         [value_dim]
//
// Tokens are taken in chunks of kDeltaRuleChunk: inside a chunk as matrix
// products and the solution of a triangular system, from chunk to chunk through
// S. Chunks begin at multiples of kDeltaRuleChunk from the start of the
// sequence, whatever the calls: what a chunk that a call leaves unfinished has
// written so far is kept beside S, and the next call goes on in it. So a
// sequence that comes in other pieces gives the same bits, and a single token
// reads S but writes it only where it ends a chunk.
#ifndef BRAID_KERNELS_DELTA_RULE_H_
#define BRAID_KERNELS_DELTA_RULE_H_

#include <cstddef>

namespace braid::kernels {

class ThreadPool;

struct DeltaRuleParams {
  size_t tokens = 0;
  size_t key_heads = 0;
  size_t value_heads = 0;  // a multiple of key_heads
  size_t key_dim = 0;      // of each head
  size_t value_dim = 0;    // of each head

  // [tokens, key_heads * key_dim], normalised and scaled by the caller: the
  // recurrence is stable while beta |k|^2 <= 2.
  const float* q = nullptr;
  size_t ldq = 0;
  const float* k = nullptr;
  size_t ldk = 0;
  const float* v = nullptr;  // [tokens, value_heads * value_dim]
  size_t ldv = 0;
  // Logarithm of the decay: finite, at most 0. [tokens, value_heads], or
  // [tokens, value_heads * key_dim] if `decay_per_key_channel`.
  const float* g = nullptr;
  size_t ldg = 0;
  bool decay_per_key_channel = false;
  const float* beta = nullptr;  // [tokens, value_heads], 0 to 2
  size_t ldbeta = 0;

  // S and the open chunk, DeltaRuleStateFloats() floats in a layout of the
  // kernel's own; all zero before the first token. In and out.
  float* state = nullptr;
  size_t past_tokens = 0;  // that `state` has seen
  float* y = nullptr;      // [tokens, value_heads * value_dim], rows `ldy`
  size_t ldy = 0;          // apart; may equal `v` with ldy == ldv
};

inline constexpr size_t kDeltaRuleChunk = 16;

size_t DeltaRuleStateFloats(size_t value_heads, size_t key_dim,
                            size_t value_dim);

// The next `tokens` tokens: prefill and decode alike. The result depends on
// neither the number of threads nor where the sequence is cut into calls, and
// is exact however strong the decay.
void DeltaRule(const DeltaRuleParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_DELTA_RULE_H_
