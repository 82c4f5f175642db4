#include "generation/layers/linear.h"

#include <utility>
#include <vector>

namespace braid::model {

absl::StatusOr<Linear> Linear::Load(const LinearSpec& spec,
                                    const Checkpoint& checkpoint) {
  std::vector<float> rows;
  rows.reserve(static_cast<size_t>(spec.out()) * spec.in);
  for (const TensorSpec& tensor : spec.weights) {
    absl::StatusOr<std::vector<float>> part =
        checkpoint.ReadF32(tensor.name, tensor.shape);
    if (!part.ok()) return part.status();
    rows.insert(rows.end(), part->begin(), part->end());
  }
  Linear linear = FromWeights(rows.data(), spec.out(), spec.in);
  for (const TensorSpec& tensor : spec.biases) {
    absl::StatusOr<std::vector<float>> part =
        checkpoint.ReadF32(tensor.name, tensor.shape);
    if (!part.ok()) return part.status();
    linear.bias_.insert(linear.bias_.end(), part->begin(), part->end());
  }
  return linear;
}

Linear Linear::FromWeights(const float* weights, size_t out, size_t in) {
  Linear linear;
  linear.weights_ = kernels::PackedWeights::Pack(weights, out, in);
  return linear;
}

void Linear::Apply(const float* x, size_t ldx, size_t rows, float* y,
                   size_t ldy, kernels::ThreadPool* pool) const {
  kernels::GemmParams params;
  params.a = x;
  params.lda = ldx;
  params.m = rows;
  params.b = &weights_;
  params.bias = bias_.empty() ? nullptr : bias_.data();
  params.c = y;
  params.ldc = ldy;
  kernels::Gemm(params, pool);
}

}  // namespace braid::model
