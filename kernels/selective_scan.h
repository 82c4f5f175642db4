// The Mamba-1 recurrence (Gu and Dao 2023, algorithm 2), in f32: a diagonal
// state-space model whose step sizes and projections depend on the input.
//
// For each channel c and state n:
//
//   S[c][n] = exp(dt[c] * a[c][n]) * S[c][n] + dt[c] * b[n] * x[c]
//   y[c]    = sum_n S[c][n] * c[n] + d[c] * x[c]
//
// Numbers per channel and state lie in groups of 16 channels, zeros in the
// padding: [channels / 16][state_dim][16].
#ifndef BRAID_KERNELS_SELECTIVE_SCAN_H_
#define BRAID_KERNELS_SELECTIVE_SCAN_H_

#include <cstddef>

namespace braid::kernels {

class ThreadPool;

struct SelectiveScanParams {
  size_t tokens = 0;
  size_t channels = 0;
  size_t state_dim = 0;

  const float* x = nullptr;  // [tokens, channels], rows `ldx` apart
  size_t ldx = 0;
  const float* dt =
      nullptr;               // [tokens, channels], rows `lddt` apart; positive:
  size_t lddt = 0;           // softplus(dt + dt_bias) has been applied
  const float* b = nullptr;  // [tokens, state_dim], rows `ldb` apart
  size_t ldb = 0;
  const float* c = nullptr;  // [tokens, state_dim], rows `ldc` apart
  size_t ldc = 0;
  const float* a = nullptr;  // negative: -exp(A_log), in groups
  const float* d = nullptr;  // [channels], or null for none

  float* state = nullptr;  // in groups, in and out; zero before the first token
  float* y = nullptr;  // [tokens, channels], rows `ldy` apart; may equal `x`
  size_t ldy = 0;      // with ldy == ldx
};

// Floats of `a` and of `state`.
size_t SelectiveScanFloats(size_t channels, size_t state_dim);

// Brings [channels, state_dim] into groups.
void ToScanGroups(const float* rows, size_t channels, size_t state_dim,
                  float* groups);

// Any number of tokens. The result depends on neither the number of threads nor
// where the sequence is cut into calls.
void SelectiveScan(const SelectiveScanParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_SELECTIVE_SCAN_H_
