// Dense matrix products in f32: C = A * B^T (+ bias) (+ activation).
//
// Weights come as HF stores them, [out_features, in_features] row-major, and
// are packed once at load into the panel layout of the micro-kernel that the
// CPU at hand will run.
#ifndef BRAID_KERNELS_GEMM_H_
#define BRAID_KERNELS_GEMM_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace braid::kernels {

class ThreadPool;

// Applied to each output after the bias.
enum class Activation {
  kNone,
  kGelu,   // 0.5 x (1 + erf(x / sqrt 2)), the exact form
  kSilu,   // x sigmoid(x)
  kRelu2,  // max(x, 0)^2
};

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
  Activation activation = Activation::kNone;
};

// C = act(A B^T + bias) + residual. `pool` may be null (runs on the caller).
// The result does not depend on the number of threads.
void Gemm(const GemmParams& params, ThreadPool* pool);

// Name of the instruction set the kernels dispatch to on this machine, such as
// "AVX2" or "AVX3".
const char* KernelTarget();

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_GEMM_H_
