// The Mamba-2 recurrence (state-space dual form), in f32.
//
// For each head h with its group g = h / (heads / groups):
//
//   S    = exp(dt[h] * a[h]) * S + dt[h] * x[h] B[g]^T     [head_dim, state]
//   y[h] = S C[g] + d[h] * x[h]                            [head_dim]
//
// Tokens are taken in chunks of kSsdChunk: inside a chunk as matrix products,
// from chunk to chunk through S. Chunks begin at multiples of kSsdChunk from
// the start of the sequence, whatever the calls: the inputs of a chunk that a
// call leaves unfinished are kept beside S, and the next call goes on in it.
// So a sequence that comes in other pieces gives the same bits, and a single
// token reads S but writes it only where it ends a chunk.
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

  // S and the open chunk, SsdStateFloats() floats in a layout of the kernel's
  // own; all zero before the first token. In and out.
  float* state = nullptr;
  size_t past_tokens = 0;  // that `state` has seen
  float* y = nullptr;      // [tokens, heads * head_dim], rows `ldy` apart; may
  size_t ldy = 0;          // equal `x` with ldy == ldx
};

inline constexpr size_t kSsdChunk = 16;

size_t SsdStateFloats(size_t heads, size_t head_dim, size_t state_dim,
                      size_t groups);

// The next `tokens` tokens: prefill and decode alike. The result depends on
// neither the number of threads nor where the sequence is cut into calls.
void Ssd(const SsdParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_SSD_H_
