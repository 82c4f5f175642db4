#include "generation/layers/linear.h"

#include <memory>
#include <utility>
#include <vector>

namespace braid::model {

void Linear::AddAdapter(kernels::PackedWeights down, kernels::PackedWeights up,
                        size_t first_row) {
  adapters_.push_back(std::make_shared<const Adapter>(
      Adapter{std::move(down), std::move(up), first_row}));
}

void Linear::Apply(const float* x, size_t ldx, size_t rows, float* y,
                   size_t ldy, kernels::ThreadPool* pool) const {
  kernels::GemmParams params;
  params.a = x;
  params.lda = ldx;
  params.m = rows;
  params.b = weights_.get();
  params.bias = bias_.empty() ? nullptr : bias_.data();
  params.c = y;
  params.ldc = ldy;
  kernels::Gemm(params, pool);

  std::vector<float> low_rank;
  for (const std::shared_ptr<const Adapter>& adapter : adapters_) {
    const size_t rank = adapter->down.n();
    low_rank.resize(rows * rank);
    params.b = &adapter->down;
    params.bias = nullptr;
    params.residual = nullptr;
    params.a = x;
    params.lda = ldx;
    params.c = low_rank.data();
    params.ldc = rank;
    kernels::Gemm(params, pool);
    params.b = &adapter->up;
    params.a = low_rank.data();
    params.lda = rank;
    params.c = y + adapter->first_row;
    params.ldc = ldy;
    params.residual = params.c;
    kernels::Gemm(params, pool);
  }
}

}  // namespace braid::model
