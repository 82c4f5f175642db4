// Dense linear layers on the GPU by cuBLASLt: C = A W^T + bias + residual.
#ifndef BRAID_KERNELS_CUDA_LINEAR_H_
#define BRAID_KERNELS_CUDA_LINEAR_H_

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

// T is float (full precision, no TF32) or __nv_bfloat16 (f32 sums). For what
// holds of all parameters see kernels/cuda/norm.h.
template <class T>
struct LinearParams {
  const T* a = nullptr;  // [m, k]
  int64_t lda = 0;
  int64_t m = 0;
  const T* weights = nullptr;  // [n, k], as HF stores them
  int64_t ldw = 0;
  int64_t n = 0;
  int64_t k = 0;
  const T* bias = nullptr;      // [n], or null
  const T* residual = nullptr;  // [m, n], rows `ldc` apart; may equal `c`; or
                                // null
  T* c = nullptr;               // [m, n]
  int64_t ldc = 0;
};

// May be used by several threads at once. There is one workspace, so all work
// goes to one stream.
class LinearProducts {
 public:
  // `workspace` is device memory, 256-byte aligned, that must live as long as
  // the object; NVIDIA advises 32 MiB on sm_90.
  static Status Create(void* workspace, size_t workspace_bytes,
                       std::unique_ptr<LinearProducts>* products);
  ~LinearProducts();
  LinearProducts(const LinearProducts&) = delete;
  LinearProducts& operator=(const LinearProducts&) = delete;

  // The first product of a shape asks cuBLASLt for its algorithm, later ones
  // use the same.
  template <class T>
  Status Multiply(const LinearParams<T>& params, cudaStream_t stream);

 private:
  // Type, m, n, k, lda, ldw, ldc, bias, residual, alignments.
  using Shape =
      std::tuple<int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                 bool, bool, uint32_t, uint32_t, uint32_t, uint32_t>;

  LinearProducts(cublasLtHandle_t handle, void* workspace, size_t bytes)
      : handle_(handle), workspace_(workspace), workspace_bytes_(bytes) {}

  cublasLtHandle_t handle_;
  void* workspace_;
  size_t workspace_bytes_;
  std::mutex mutex_;
  std::map<Shape, cublasLtMatmulAlgo_t> algorithms_;  // under mutex_
};

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_LINEAR_H_
