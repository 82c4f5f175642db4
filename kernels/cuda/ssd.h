// The recurrence of Mamba-2 (Dao and Gu 2024, "Transformers are SSMs") on the
// GPU. For each head h with its group g = h / (heads / groups):
//
//   S    = exp(dt[h] a[h]) S + dt[h] x[h] B[g]^T     [head_dim, state_dim]
//   y[h] = S C[g] + d[h] x[h]                        [head_dim]
//
// That is kernels/ssd.h with one row per token and Euler's rule; Mamba-3's
// trapezoidal rule and higher ranks are not here.
//
// T is float or __nv_bfloat16. States, time steps, decays and sums are f32.
// With bf16, what goes into a matrix product of SsdScan is rounded to bf16:
// inputs weighted by time step and decay, the state before a chunk, and the
// products of C and B weighted by both. For what holds of all parameters see
// kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_SSD_H_
#define BRAID_KERNELS_CUDA_SSD_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

struct SsdShape {
  int heads = 0;
  int head_dim = 0;
  int state_dim = 0;
  int groups = 1;  // must divide heads

  // Of one sequence: [heads, head_dim, state_dim].
  int64_t state_floats() const { return int64_t{heads} * head_dim * state_dim; }
};

template <class T>
struct SsdParams {
  SsdShape shape;
  // SsdStep: rows, each the next token of another sequence. SsdScan: the next
  // tokens of one sequence.
  int64_t tokens = 0;
  const T* x = nullptr;  // [tokens, heads * head_dim]
  int64_t ldx = 0;
  const T* b = nullptr;  // [tokens, groups * state_dim]
  int64_t ldb = 0;
  const T* c = nullptr;  // [tokens, groups * state_dim]
  int64_t ldc = 0;
  const float* dt = nullptr;  // [tokens, heads]; positive: after the softplus
  int64_t lddt = 0;
  const float* a = nullptr;  // [heads]; negative
  const float* d = nullptr;  // [heads], or null
  // In and out, all zero before the first token. SsdScan: that of the sequence.
  // SsdStep: that of row r is at slots[r] * state_stride, without `slots` at r
  // * state_stride; slots differ.
  float* state = nullptr;
  int64_t state_stride = 0;
  const int32_t* slots = nullptr;  // [tokens], of SsdStep alone, or null
  T* y = nullptr;  // [tokens, heads * head_dim]; not x in SsdScan
  int64_t ldy = 0;
};

// One token for each of several sequences. Reads and writes every state once.
template <class T>
Status SsdStep(const SsdParams<T>& params, cudaStream_t stream);

// Any number of tokens of one sequence, in chunks of kSsdScanChunk from the
// first token of the call: inside a chunk as matrix products, from chunk to
// chunk through S. A sequence that is cut elsewhere gives the same up to
// rounding; the same call gives the same bits. `workspace` has
// SsdScanWorkspaceBytes(shape) bytes, 16-byte aligned.
template <class T>
Status SsdScan(const SsdParams<T>& params, void* workspace,
               cudaStream_t stream);

inline constexpr int kSsdScanChunk = 256;

// Does not grow with the number of tokens.
size_t SsdScanWorkspaceBytes(const SsdShape& shape);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_SSD_H_
