// kernels/conv1d.h on the GPU, for several sequences at once: a prompt's tokens
// are one sequence of many, a step of decoding is many of one. T is float or
// __nv_bfloat16; taps, state and sums are f32. For what holds of all parameters
// see kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_CONV1D_H_
#define BRAID_KERNELS_CUDA_CONV1D_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

//   out[t][c] = act(bias[c] + sum_j taps[j][c] * in[t - (kernel - 1) + j][c])
//
// where `in` is the sequence's state followed by its rows of `x`. A result does
// not depend on where a sequence is cut into calls.
template <class T>
struct CausalConv1dParams {
  // [sequences * tokens, channels]: token t of sequence s is row
  // s * tokens + t.
  const T* x = nullptr;
  int64_t ldx = 0;
  int sequences = 0;
  int64_t tokens = 0;
  int channels = 0;
  int kernel = 0;               // 1 to 16 taps
  const float* taps = nullptr;  // [kernel, channels]
  const float* bias = nullptr;  // [channels], or null
  // For each sequence [kernel - 1, channels], in and out: the last inputs,
  // oldest first; zero before the first token. That of sequence s is at
  // slots[s] * state_stride, without `slots` at s * state_stride. Slots differ.
  float* state = nullptr;
  int64_t state_stride = 0;
  const int32_t* slots = nullptr;
  Activation activation = Activation::kNone;
  T* out = nullptr;  // as x; not x itself
  int64_t ldo = 0;
};

template <class T>
Status CausalConv1d(const CausalConv1dParams<T>& params, cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_CONV1D_H_
