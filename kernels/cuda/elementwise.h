// kernels/elementwise.h on the GPU, over matrices, and the rotary position
// embedding. T is float or __nv_bfloat16; arithmetic is in f32. Inputs and
// outputs may be the same array with the same `ld`, but must not overlap
// otherwise. For what holds of all parameters see kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_ELEMENTWISE_H_
#define BRAID_KERNELS_CUDA_ELEMENTWISE_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <limits>

#include "kernels/activation.h"
#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

// out = activation(x) * up, or without `up` activation(x).
template <class T>
struct ActivationParams {
  Activation activation = Activation::kNone;
  const T* x = nullptr;  // [rows, dim]
  int64_t ldx = 0;
  const T* up = nullptr;  // [rows, dim], or null
  int64_t ldup = 0;
  int64_t rows = 0;
  int64_t dim = 0;
  T* out = nullptr;  // [rows, dim]
  int64_t ldo = 0;
};

template <class T>
Status Activate(const ActivationParams<T>& params, cudaStream_t stream);

// out += scale * x, both [rows, dim].
template <class T>
Status AddScaled(float scale, const T* x, int64_t ldx, int64_t rows,
                 int64_t dim, T* out, int64_t ldo, cudaStream_t stream);

// out = clamp(log(1 + exp(x + bias)), low, high): time steps of state-space
// layers, in f32 whatever T is.
template <class T>
struct SoftplusParams {
  const T* x = nullptr;  // [rows, dim]
  int64_t ldx = 0;
  const float* bias = nullptr;  // [dim], or null
  int64_t rows = 0;
  int64_t dim = 0;
  float low = 0.0f;
  float high = std::numeric_limits<float>::infinity();
  float* out = nullptr;  // [rows, dim]
  int64_t ldo = 0;
};

template <class T>
Status Softplus(const SoftplusParams<T>& params, cudaStream_t stream);

// Rotates pairs of a head's first 2 * half dimensions (Su et al. 2021, section
// 3.4.2), in place. The angle is position * frequency in f32.
template <class T>
struct RopeParams {
  T* x = nullptr;  // [rows, heads, head_stride], rows `ldx` apart
  int64_t ldx = 0;
  int64_t rows = 0;
  int heads = 0;
  int head_stride = 0;
  const int32_t* positions = nullptr;          // [rows]
  const float* inverse_frequencies = nullptr;  // [half]
  int half = 0;            // 2 * half is at most head_stride
  float magnitude = 1.0f;  // of the rotated values
  // Pairs are 2 i and 2 i + 1; otherwise i and i + half.
  bool adjacent_pairs = false;
};

template <class T>
Status ApplyRope(const RopeParams<T>& params, cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_ELEMENTWISE_H_
