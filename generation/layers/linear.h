// A linear layer, packed for the kernels: in f32, or in 8 or 4 bits.
#ifndef BRAID_GENERATION_LAYERS_LINEAR_H_
#define BRAID_GENERATION_LAYERS_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "generation/layers/workspace.h"
#include "kernels/activation.h"
#include "kernels/gemm.h"
#include "kernels/quantized_gemm.h"
#include "kernels/quantized_weights.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// Immutable after loading; shared between threads. Copies share the weights.
class Linear {
 public:
  using Weights =
      std::variant<std::shared_ptr<const kernels::PackedWeights>,
                   std::shared_ptr<const kernels::QuantizedWeights>>;

  Linear() = default;  // of no use but to be assigned to
  // `bias` is [out], or empty.
  Linear(Weights weights, std::vector<float> bias)
      : weights_(std::move(weights)), bias_(std::move(bias)) {}

  // From weights [out, in], without a bias.
  static Linear FromWeights(const float* weights, size_t out, size_t in) {
    return Linear(std::make_shared<const kernels::PackedWeights>(
                      kernels::PackedWeights::Pack(weights, out, in)),
                  {});
  }

  // Of quantised weights: factors of the outputs, before the bias.
  void SetRowScales(std::vector<float> scales) {
    row_scales_ = std::move(scales);
  }
  // Of quantised weights whose rows lie in blocks of 16 gates and 16 values.
  void SetGatesInBlocks() { gates_in_blocks_ = true; }
  // A low-rank addition to the outputs from `first_row` on: down [rank, in], up
  // [rows, rank].
  void AddAdapter(kernels::PackedWeights down, kernels::PackedWeights up,
                  size_t first_row);

  size_t in() const;
  size_t out() const;
  // Of the weights as they lie in memory.
  size_t bytes() const;

  // y[r] = W x[r] + b for `rows` rows, `ldx` and `ldy` floats apart. No
  // overlap.
  void Apply(const float* x, size_t ldx, size_t rows, float* y, size_t ldy,
             kernels::ThreadPool* pool) const;

  // One of several applications that do not depend on one another.
  struct Call {
    const Linear* linear = nullptr;
    const float* x = nullptr;  // [rows, in], rows `ldx` apart
    size_t ldx = 0;
    // Row r of the input is x + row_of[r] * ldx. Null: r itself.
    const uint32_t* row_of = nullptr;
    size_t rows = 0;
    float* y = nullptr;  // rows `ldy` apart
    size_t ldy = 0;
    // y = act(W x + b). Gated: the first half of the outputs, gates, meets the
    // second, values: y = act(gates) * values, [rows, out / 2].
    kernels::Activation activation = kernels::Activation::kNone;
    bool gated = false;
    // Added to y at the end, rows `ldy` apart; null for none. May be y itself.
    // Not with `gated`.
    const float* residual = nullptr;
  };
  // Uses the workspace's `projected` and `gathered`.
  static void ApplyAll(absl::Span<const Call> calls, Workspace* workspace);

 private:
  struct Adapter {
    kernels::PackedWeights down;
    kernels::PackedWeights up;
    size_t first_row = 0;
  };

  const kernels::QuantizedWeights* quantized() const {
    const auto* weights =
        std::get_if<std::shared_ptr<const kernels::QuantizedWeights>>(
            &weights_);
    return weights == nullptr ? nullptr : weights->get();
  }
  const kernels::PackedWeights& packed() const {
    return *std::get<std::shared_ptr<const kernels::PackedWeights>>(weights_);
  }
  // Whether the kernel can do all of it at once.
  bool Fuses(const Call& call) const {
    if (!adapters_.empty() || call.gated != gates_in_blocks_) return false;
    return quantized() != nullptr || call.row_of == nullptr;
  }
  kernels::QuantizedGemmParams QuantizedParams(const Call& call) const;
  kernels::GemmParams PackedParams(const Call& call) const;
  void ApplyAdapters(const float* x, size_t ldx, size_t rows, float* y,
                     size_t ldy, kernels::ThreadPool* pool) const;
  // In steps.
  static void ApplyUnfused(const Call& call, Workspace* workspace);

  Weights weights_;
  std::vector<float> bias_;        // [out], or empty
  std::vector<float> row_scales_;  // [out], or empty
  bool gates_in_blocks_ = false;
  std::vector<std::shared_ptr<const Adapter>> adapters_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_LINEAR_H_
