// A linear layer, packed for the kernels.
#ifndef BRAID_GENERATION_LAYERS_LINEAR_H_
#define BRAID_GENERATION_LAYERS_LINEAR_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// Immutable after loading; shared between threads. Copies share the weights.
class Linear {
 public:
  Linear() = default;  // of no use but to be assigned to
  // `bias` is [out], or empty.
  Linear(std::shared_ptr<const kernels::PackedWeights> weights,
         std::vector<float> bias)
      : weights_(std::move(weights)), bias_(std::move(bias)) {}

  // From weights [out, in], without a bias.
  static Linear FromWeights(const float* weights, size_t out, size_t in) {
    return Linear(std::make_shared<const kernels::PackedWeights>(
                      kernels::PackedWeights::Pack(weights, out, in)),
                  {});
  }

  // A low-rank addition to the outputs from `first_row` on: down [rank, in], up
  // [rows, rank].
  void AddAdapter(kernels::PackedWeights down, kernels::PackedWeights up,
                  size_t first_row);

  size_t in() const { return weights_->k(); }
  size_t out() const { return weights_->n(); }

  // y[r] = W x[r] + b for `rows` rows, `ldx` and `ldy` floats apart. No
  // overlap.
  void Apply(const float* x, size_t ldx, size_t rows, float* y, size_t ldy,
             kernels::ThreadPool* pool) const;

 private:
  struct Adapter {
    kernels::PackedWeights down;
    kernels::PackedWeights up;
    size_t first_row = 0;
  };

  std::shared_ptr<const kernels::PackedWeights> weights_;
  std::vector<float> bias_;  // [out], or empty
  std::vector<std::shared_ptr<const Adapter>> adapters_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_LINEAR_H_
