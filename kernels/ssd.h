// The Mamba-2 recurrence (state-space dual form), in f32.
//
// For each head h with its group g = h / (heads / groups):
//
//   S    = exp(dt[h] * a[h]) * S + dt[h] * x[h] B[g]^T     [head_dim, state]
//   y[h] = S C[g] + d[h] * x[h]                            [head_dim]
#ifndef BRAID_KERNELS_SSD_H_
#define BRAID_KERNELS_SSD_H_

#include <cstddef>

namespace braid::kernels {

class ThreadPool;

struct SsdParams {
  size_t tokens = 0;
  size_t heads = 0;
  size_t head_dim = 0;
  size_t state_dim = 0;
  size_t groups = 1;  // must divide heads

  const float* x = nullptr;  // [tokens, heads * head_dim], rows `ldx` apart
  size_t ldx = 0;
  const float* b = nullptr;  // [tokens, groups * state_dim], rows `ldb` apart
  size_t ldb = 0;
  const float* c = nullptr;  // [tokens, groups * state_dim], rows `ldc` apart
  size_t ldc = 0;
  const float* dt = nullptr;  // [tokens, heads], rows `lddt` apart; positive:
  size_t lddt = 0;            // softplus(dt + dt_bias) has been applied
  const float* a = nullptr;   // [heads], negative: -exp(A_log)
  const float* d = nullptr;   // [heads], or null for none

  float* state = nullptr;  // [heads, head_dim, state_dim], in and out; zero
                           // before the first token
  float* y = nullptr;      // [tokens, heads * head_dim], rows `ldy` apart; may
  size_t ldy = 0;          // equal `x` with ldy == ldx
};

// Any number of tokens, in chunks of kSsdChunk: inside a chunk as matrix
// products, from chunk to chunk through the state. Agrees with SsdStep up to
// rounding, wherever the prompt is cut.
inline constexpr size_t kSsdChunk = 64;
void SsdPrefill(const SsdParams& params, ThreadPool* pool);

// Token after token, as written above: the form for decode (one token), bound
// by reading and writing the state.
void SsdStep(const SsdParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_SSD_H_
