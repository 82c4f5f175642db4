// kernels/norm.h on the GPU. T is float or __nv_bfloat16; weights are f32, and
// so are all sums, which are taken in a fixed order.
//
// Here and in the other headers of this folder: pointers are to device memory,
// matrices are row-major with rows `ld...` values apart, work is queued on
// `stream` and nothing waits for it. Any address and any `ld` will do, but
// where both are multiples of 16 bytes memory is read in wider pieces.
// Functions check their parameters and may be called by several threads at
// once.
#ifndef BRAID_KERNELS_CUDA_NORM_H_
#define BRAID_KERNELS_CUDA_NORM_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/cuda/status.h"
#include "kernels/norm.h"

namespace braid::kernels::cuda {

// out = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias, for each row.
template <class T>
struct LayerNormParams {
  const T* x = nullptr;  // [rows, dim]
  int64_t ldx = 0;
  int64_t rows = 0;
  int dim = 0;
  const float* weight = nullptr;  // [dim]
  const float* bias = nullptr;    // [dim], or null
  float epsilon = 1e-5f;
  T* out = nullptr;  // [rows, dim]; may equal `x` with ldo == ldx
  int64_t ldo = 0;
};

template <class T>
Status LayerNorm(const LayerNormParams<T>& params, cudaStream_t stream);

// As kernels::RmsNormParams, with the same two orders of norm and gate.
template <class T>
struct RmsNormParams {
  const T* x = nullptr;  // [rows, dim]
  int64_t ldx = 0;
  int64_t rows = 0;
  int dim = 0;
  int groups = 1;                 // must divide dim
  const float* weight = nullptr;  // [dim]; [dim / groups] if shared
  bool weight_shared_by_groups = false;
  float weight_offset = 0.0f;
  const T* gate = nullptr;  // [rows, dim], or null
  int64_t ldg = 0;
  GateOrder gate_order = GateOrder::kGateFirst;
  Activation gate_activation = Activation::kSilu;
  float epsilon = 1e-5f;
  T* out = nullptr;  // [rows, dim]; may equal `x` with ldo == ldx
  int64_t ldo = 0;
};

template <class T>
Status RmsNorm(const RmsNormParams<T>& params, cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_NORM_H_
