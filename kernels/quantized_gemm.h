// Dense matrix products with weights in 8 or 4 bits: C = act(A B^T + bias) +
// residual.
//
// Rows of A are rounded to 8 bits as they come, with a scale for each group of
// inputs (the groups of the weights): code = round(127 a / max |a|). Products
// of codes are added up exactly, in integers, over a group; the groups' sums,
// times both scales, in f32 in ascending order. So a row's result depends
// neither on the rows beside it, nor on the blocking, nor on the number of
// threads.
#ifndef BRAID_KERNELS_QUANTIZED_GEMM_H_
#define BRAID_KERNELS_QUANTIZED_GEMM_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/activation.h"
#include "kernels/quantized_weights.h"

namespace braid::kernels {

class ThreadPool;

// Parameters of one product. All matrices row-major.
struct QuantizedGemmParams {
  const float* a = nullptr;  // [m, k], rows `lda` apart
  size_t lda = 0;
  // Row r of A is a + a_rows[r] * lda. Null: a + r * lda.
  const uint32_t* a_rows = nullptr;
  size_t m = 0;
  const QuantizedWeights* b = nullptr;
  // [n], multiplied with the product before the bias, or null.
  const float* row_scale = nullptr;
  const float* bias = nullptr;      // [n], or null
  const float* residual = nullptr;  // [m, outputs] added at the end, rows `ldc`
                                    // apart, or null; may equal `c`
  float* c = nullptr;               // [m, outputs], rows `ldc` apart
  size_t ldc = 0;
  Activation activation = Activation::kNone;  // applied after the bias
  // Output features come as blocks of 16 gates and 16 values in turn, and c has
  // n / 2 columns: act(gate) * value. n is a multiple of 32.
  bool gated = false;

  size_t outputs() const { return gated ? b->n() / 2 : b->n(); }
};

// `pool` may be null (runs on the caller). C must not overlap A.
void QuantizedGemm(const QuantizedGemmParams& params, ThreadPool* pool);

// Several products that do not depend on one another, such as those of the
// experts of one layer, shared out over the threads together.
void QuantizedGemms(std::span<const QuantizedGemmParams> products,
                    ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_QUANTIZED_GEMM_H_
