// The recurrence of Mamba-2 (state-space dual form) and of Mamba-3, in f32.
//
// For each head h with its group g = h / (heads / groups), and l = trapezoid:
//
//   S    = exp(dt[h] a[h]) (S + (1 - l[h]) dt[h] x'[h] B'[g]^T)
//          + l[h] dt[h] x[h] B[g]^T                        [head_dim, state]
//   y[h] = S C[g] + d[h] x[h]                              [head_dim]
//
// where x' and B' are those of the token before. Mamba-2 has l = 1 (Euler's
// rule) and one a for each head; Mamba-3 mixes both ends of the interval (the
// trapezoidal rule), and its a depends on the token. With rank > 1 (Mamba-3's
// MIMO) a token has that many rows of x, B, C and y: S takes the sum over its
// rows, and each C reads its own y from the S that they made together.
//
// Rows are taken in chunks of kSsdChunk: inside a chunk as matrix products,
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

struct SsdShape {
  size_t heads = 0;
  size_t head_dim = 0;
  size_t state_dim = 0;
  size_t groups = 1;  // must divide heads
  size_t rank = 1;    // must divide kSsdChunk
  bool trapezoid = false;
};

struct SsdParams {
  SsdShape shape;
  size_t tokens = 0;

  const float* x = nullptr;  // [tokens * rank, heads * head_dim], rows `ldx`
  size_t ldx = 0;            // apart
  const float* b = nullptr;  // [tokens * rank, groups * state_dim]
  size_t ldb = 0;
  const float* c = nullptr;  // [tokens * rank, groups * state_dim]
  size_t ldc = 0;
  const float* dt = nullptr;  // [tokens, heads], rows `lddt` apart; positive:
  size_t lddt = 0;            // softplus(dt + dt_bias) has been applied
  const float* a = nullptr;   // [tokens, heads], rows `lda` apart; negative.
  size_t lda = 0;             // 0: all tokens have the same
  // [tokens, heads], rows `lddt` apart, 0 to 1; null if !shape.trapezoid.
  const float* trapezoid = nullptr;
  const float* d = nullptr;  // [heads], or null for none

  // S and the open chunk, SsdStateFloats() floats in a layout of the kernel's
  // own; all zero before the first token. In and out.
  float* state = nullptr;
  size_t past_tokens = 0;  // that `state` has seen
  float* y = nullptr;      // [tokens * rank, heads * head_dim], rows `ldy`
  size_t ldy = 0;          // apart; may equal `x` with ldy == ldx
};

inline constexpr size_t kSsdChunk = 16;

size_t SsdStateFloats(const SsdShape& shape);

// The next `tokens` tokens: prefill and decode alike. The result depends on
// neither the number of threads nor where the sequence is cut into calls.
void Ssd(const SsdParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_SSD_H_
