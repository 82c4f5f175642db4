// The gated delta rule, in f32: the recurrence of Gated DeltaNet (Yang, Kautz,
// Hatamizadeh 2024, section 3) and, with a decay for each key channel, of Kimi
// Delta Attention (Kimi Linear report, 2025).
//
// For each value head h with its key head h / (value_heads / key_heads):
//
//   S  = diag(exp(g)) S                                [key_dim, value_dim]
//   S += k (beta (v - S^T k))^T
//   y  = S^T q                                         [value_dim]
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

  float* state = nullptr;  // [value_heads, key_dim, value_dim], in and out;
                           // zero before the first token
  float* y = nullptr;      // [tokens, value_heads * value_dim], rows `ldy`
  size_t ldy = 0;          // apart; may equal `v` with ldy == ldv
};

// Any number of tokens, in chunks of kDeltaRuleChunk: inside a chunk as matrix
// products and the solution of a triangular system, from chunk to chunk through
// the state. Agrees with DeltaRuleStep up to rounding, wherever the prompt is
// cut and however strong the decay.
inline constexpr size_t kDeltaRuleChunk = 64;
void DeltaRulePrefill(const DeltaRuleParams& params, ThreadPool* pool);

// Token after token, as written above: the form for decode (one token), bound
// by reading and writing the state.
void DeltaRuleStep(const DeltaRuleParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_DELTA_RULE_H_
