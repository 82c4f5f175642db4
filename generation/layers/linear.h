// A linear layer of a checkpoint, packed for the kernels.
#ifndef BRAID_GENERATION_LAYERS_LINEAR_H_
#define BRAID_GENERATION_LAYERS_LINEAR_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"
#include "kernels/gemm.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// Immutable after loading; shared between threads.
class Linear {
 public:
  // Copies the tensors out of the checkpoint. The largest extra memory while it
  // runs is one f32 copy of the layer.
  static absl::StatusOr<Linear> Load(const LinearSpec& spec,
                                     const Checkpoint& checkpoint);
  // From weights [out, in], without a bias. For slices of larger tensors.
  static Linear FromWeights(const float* weights, size_t out, size_t in);

  size_t in() const { return weights_.k(); }
  size_t out() const { return weights_.n(); }

  // y[r] = W x[r] + b for `rows` rows, `ldx` and `ldy` floats apart. No
  // overlap.
  void Apply(const float* x, size_t ldx, size_t rows, float* y, size_t ldy,
             kernels::ThreadPool* pool) const;

 private:
  kernels::PackedWeights weights_;
  std::vector<float> bias_;  // [out], or empty
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_LINEAR_H_
