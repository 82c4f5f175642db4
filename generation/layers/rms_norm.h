// A root-mean-square norm of a checkpoint, over whole rows or over parts.
#ifndef BRAID_GENERATION_LAYERS_RMS_NORM_H_
#define BRAID_GENERATION_LAYERS_RMS_NORM_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/norm.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// Immutable after loading; shared between threads.
class RmsNorm {
 public:
  RmsNorm() = default;  // of no use but to be assigned to
  RmsNorm(std::vector<float> weight, float epsilon, float weight_offset)
      : weight_(std::move(weight)),
        epsilon_(epsilon),
        weight_offset_(weight_offset) {}

  // out = norm(x), each [rows, dim]; out may be x. Where dim is a multiple of
  // the weight's size, each part of that size is normed for itself.
  void Apply(const float* x, size_t ldx, size_t rows, size_t dim, float* out,
             size_t ldo, kernels::ThreadPool* pool) const {
    kernels::RmsNorm(Params(x, ldx, rows, dim, out, ldo), pool);
  }

  // The same as the kernel's parameters, to add a gate or groups to.
  kernels::RmsNormParams Params(const float* x, size_t ldx, size_t rows,
                                size_t dim, float* out, size_t ldo) const;

 private:
  std::vector<float> weight_;
  float epsilon_ = 0;
  float weight_offset_ = 0;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_RMS_NORM_H_
