// Dense matrix products in f32: C = A * B^T (+ bias) (+ activation).
//
// Weights come as HF stores them, [out_features, in_features] row-major, and
// are packed once at load into panels of 16 output features: [n / 16][k][16],
// the last panel padded with zeros. One layout serves every instruction set (a
// panel row is one AVX-512, two AVX2 or four NEON vectors).
//
// Every output is one chain of fused multiply-adds over k in ascending order,
// whatever m, the blocking or the number of threads: a row's result does not
// depend on the rows computed beside it. (It may differ between instruction
// sets that have and that lack fused multiply-add.)
#ifndef BRAID_KERNELS_GEMM_H_
#define BRAID_KERNELS_GEMM_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/activation.h"

namespace braid::kernels {

class ThreadPool;

// Weights of one linear layer, packed. Immutable; shared between threads.
class PackedWeights {
 public:
  // Packs `weights`, [n, k] row-major. The source may be freed afterwards.
  static PackedWeights Pack(const float* weights, size_t n, size_t k);
  PackedWeights();
  ~PackedWeights();
  PackedWeights(PackedWeights&&) noexcept;
  PackedWeights& operator=(PackedWeights&&) noexcept;

  size_t n() const { return n_; }  // output features
  size_t k() const { return k_; }  // input features
  const float* data() const { return data_.get(); }
  size_t bytes() const;

 private:
  struct AlignedFree {
    void operator()(float* p) const;
  };
  size_t n_ = 0;
  size_t k_ = 0;
  std::unique_ptr<float[], AlignedFree> data_;
};

// Parameters of one product. All matrices row-major.
struct GemmParams {
  const float* a = nullptr;  // [m, k], rows `lda` apart
  size_t lda = 0;
  size_t m = 0;
  const PackedWeights* b = nullptr;
  const float* bias = nullptr;      // [n], or null
  const float* residual = nullptr;  // [m, n] added after the activation, rows
                                    // `ldc` apart, or null; may equal `c`
  float* c = nullptr;               // [m, n], rows `ldc` apart
  size_t ldc = 0;
  Activation activation = Activation::kNone;  // applied after the bias
};

// C = act(A B^T + bias) + residual. `pool` may be null (runs on the caller).
// C must not overlap A. Work is split over row blocks and output columns; with
// few rows (m up to about 100) each packed weight is read from memory once.
void Gemm(const GemmParams& params, ThreadPool* pool);

// Name of the instruction set the kernels dispatch to on this machine, such as
// "AVX2" or "AVX3".
const char* KernelTarget();

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_GEMM_H_
