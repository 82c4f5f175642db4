// Matrix products with weights in 8 or 4 bits on the GPU: C = act(A B^T *
// row_scale + bias) + residual. As in kernels/quantized_weights.h
//
//   weight = scale * (code - zero)
//
// with a scale for each group of inputs of each row. Weights are made bf16 in
// registers (a rounding of 2^-9 of each) and multiplied with bf16 inputs on the
// tensor cores; sums are f32. Codes are read once for each 32 rows of A, so
// this is for decoding and short pieces; for long ones dequantise a matrix once
// and use kernels/cuda/linear.h. For what holds of all parameters see
// kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_QUANTIZED_GEMM_H_
#define BRAID_KERNELS_CUDA_QUANTIZED_GEMM_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

// One matrix, or several of one shape (experts), in device memory.
struct QuantizedMatrixView {
  int bits = 8;         // 8 or 4
  int group_size = 32;  // 32, 64 or 128
  int n = 0;            // output features
  int k = 0;            // input features
  // [n] rows of codes, `row_bytes` apart, a multiple of 16; 16-byte aligned. In
  // 4 bits two are in a byte, the earlier one in the low bits. Codes behind the
  // k-th may be anything.
  const uint8_t* codes = nullptr;
  int64_t row_bytes = 0;
  const __half* scales = nullptr;  // [n, groups()]
  // [n, groups()], or null: then zero is 2^(bits - 1).
  const uint8_t* zeros = nullptr;

  int groups() const { return (k + group_size - 1) / group_size; }
};

// T, of the result, is float or __nv_bfloat16.
template <class T>
struct QuantizedGemmParams {
  const __nv_bfloat16* a = nullptr;  // [m, k]; lda a multiple of 8, 16-byte
  int64_t lda = 0;                   // aligned
  // Row r of A is a + a_rows[r] * lda. Null: a + r * lda.
  const int32_t* a_rows = nullptr;
  int64_t m = 0;
  QuantizedMatrixView b;
  // Row r is multiplied with matrix matrices[r] of those that lie one after
  // another at `b`; null: all with the one matrix. With it, codes are read once
  // for each row. row_scale and bias then are [matrices, n].
  const int32_t* matrices = nullptr;
  const float* row_scale = nullptr;           // [n], or null
  const float* bias = nullptr;                // [n], or null
  Activation activation = Activation::kNone;  // applied after the bias
  // Output features come as blocks of 16 gates and 16 values in turn, and c has
  // n / 2 columns: act(gate) * value. n is a multiple of 32.
  bool gated = false;
  // [m, outputs] with rows `ldc` apart, added at the end; may equal `c`; or
  // null.
  const T* residual = nullptr;
  T* c = nullptr;  // [m, outputs]: n, or n / 2 if gated
  int64_t ldc = 0;
};

template <class T>
Status QuantizedGemm(const QuantizedGemmParams<T>& params, cudaStream_t stream);

// weights[n][k] of the one matrix, rows `ld` apart.
Status Dequantize(const QuantizedMatrixView& matrix, __nv_bfloat16* weights,
                  int64_t ld, cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_QUANTIZED_GEMM_H_
