// The Mamba-1 recurrence (Gu and Dao 2023, algorithm 2) on the GPU, for several
// sequences at once: a prompt's tokens are one sequence of many, a step of
// decoding is many of one. For each channel c and state n:
//
//   S[c][n] = exp(dt[c] * a[c][n]) * S[c][n] + dt[c] * b[n] * x[c]
//   y[c]    = sum_n S[c][n] * c[n] + d[c] * x[c]
//
// T is float or __nv_bfloat16; states, time steps and sums are f32. A result
// does not depend on where a sequence is cut into calls. For what holds of all
// parameters see kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_SELECTIVE_SCAN_H_
#define BRAID_KERNELS_CUDA_SELECTIVE_SCAN_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

inline constexpr int kMaxScanStateDim = 64;

template <class T>
struct SelectiveScanParams {
  int sequences = 0;
  int64_t tokens = 0;  // of each
  int channels = 0;
  int state_dim = 0;  // at most kMaxScanStateDim

  // Token t of sequence s is row s * tokens + t.
  const T* x = nullptr;  // [sequences * tokens, channels]
  int64_t ldx = 0;
  // [sequences * tokens, channels]; positive: after the softplus.
  const float* dt = nullptr;
  int64_t lddt = 0;
  const T* b = nullptr;  // [sequences * tokens, state_dim]
  int64_t ldb = 0;
  const T* c = nullptr;  // [sequences * tokens, state_dim]
  int64_t ldc = 0;
  const float* a = nullptr;  // [channels, state_dim]; negative: -exp(A_log)
  const float* d = nullptr;  // [channels], or null

  // For each sequence [channels, state_dim], in and out; zero before the first
  // token. That of sequence s is at slots[s] * state_stride, without `slots` at
  // s * state_stride. Slots differ.
  float* state = nullptr;
  int64_t state_stride = 0;
  const int32_t* slots = nullptr;
  T* y = nullptr;  // as x; may equal x with ldy == ldx
  int64_t ldy = 0;
};

template <class T>
Status SelectiveScan(const SelectiveScanParams<T>& params, cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_SELECTIVE_SCAN_H_
