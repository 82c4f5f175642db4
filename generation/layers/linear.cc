#include "generation/layers/linear.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "generation/layers/parallel_rows.h"
#include "kernels/elementwise.h"
#include "kernels/quantized_gemm.h"

namespace braid::model {
namespace {

const float* DataOrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

void Linear::AddAdapter(kernels::PackedWeights down, kernels::PackedWeights up,
                        size_t first_row) {
  adapters_.push_back(std::make_shared<const Adapter>(
      Adapter{std::move(down), std::move(up), first_row}));
}

size_t Linear::in() const {
  return quantized() != nullptr ? quantized()->k() : packed().k();
}

size_t Linear::out() const {
  return quantized() != nullptr ? quantized()->n() : packed().n();
}

size_t Linear::bytes() const {
  return quantized() != nullptr ? quantized()->bytes() : packed().bytes();
}

void Linear::Apply(const float* x, size_t ldx, size_t rows, float* y,
                   size_t ldy, kernels::ThreadPool* pool) const {
  ApplyWeights(x, ldx, rows, y, ldy, pool);
  ApplyAdapters(x, ldx, rows, y, ldy, pool);
}

void Linear::ApplyWeights(const float* x, size_t ldx, size_t rows, float* y,
                          size_t ldy, kernels::ThreadPool* pool) const {
  if (quantized() != nullptr) {
    kernels::QuantizedGemm({.a = x,
                            .lda = ldx,
                            .m = rows,
                            .b = quantized(),
                            .row_scale = DataOrNull(row_scales_),
                            .bias = DataOrNull(bias_),
                            .c = y,
                            .ldc = ldy},
                           pool);
    return;
  }
  kernels::Gemm({.a = x,
                 .lda = ldx,
                 .m = rows,
                 .b = &packed(),
                 .bias = DataOrNull(bias_),
                 .c = y,
                 .ldc = ldy},
                pool);
}

void Linear::ApplyAdapters(const float* x, size_t ldx, size_t rows, float* y,
                           size_t ldy, kernels::ThreadPool* pool) const {
  std::vector<float> low_rank;
  for (const std::shared_ptr<const Adapter>& adapter : adapters_) {
    const size_t rank = adapter->down.n();
    low_rank.resize(rows * rank);
    kernels::Gemm({.a = x,
                   .lda = ldx,
                   .m = rows,
                   .b = &adapter->down,
                   .c = low_rank.data(),
                   .ldc = rank},
                  pool);
    float* target = y + adapter->first_row;
    kernels::Gemm({.a = low_rank.data(),
                   .lda = rank,
                   .m = rows,
                   .b = &adapter->up,
                   .residual = target,
                   .c = target,
                   .ldc = ldy},
                  pool);
  }
}

void Linear::ApplyUnfused(const Call& call, Workspace* workspace) {
  const Linear& linear = *call.linear;
  const float* x = call.x;
  size_t ldx = call.ldx;
  if (call.row_of != nullptr) {
    const size_t in = linear.in();
    float* rows = Workspace::Reserve(workspace->gathered, call.rows * in);
    for (size_t r = 0; r < call.rows; ++r) {
      const float* row = x + call.row_of[r] * ldx;
      std::copy(row, row + in, rows + r * in);
    }
    x = rows;
    ldx = in;
  }
  if (!call.gated) {
    linear.Apply(x, ldx, call.rows, call.y, call.ldy, workspace->pool);
    ParallelRows(workspace->pool, call.rows, linear.out(), [&](size_t r) {
      float* row = call.y + r * call.ldy;
      kernels::Activate(call.activation, row, row, linear.out());
    });
    return;
  }
  const size_t width = linear.out();
  float* both = Workspace::Reserve(workspace->projected, call.rows * width);
  linear.Apply(x, ldx, call.rows, both, width, workspace->pool);
  ParallelRows(workspace->pool, call.rows, width, [&](size_t r) {
    const float* row = both + r * width;
    kernels::GatedActivation(call.activation, row, row + width / 2,
                             call.y + r * call.ldy, width / 2);
  });
}

void Linear::ApplyAll(absl::Span<const Call> calls, Workspace* workspace) {
  std::vector<kernels::QuantizedGemmParams> products;
  for (const Call& call : calls) {
    if (!call.linear->Fuses(call)) {
      ApplyUnfused(call, workspace);
      continue;
    }
    products.push_back({.a = call.x,
                        .lda = call.ldx,
                        .a_rows = call.row_of,
                        .m = call.rows,
                        .b = call.linear->quantized(),
                        .row_scale = DataOrNull(call.linear->row_scales_),
                        .bias = DataOrNull(call.linear->bias_),
                        .c = call.y,
                        .ldc = call.ldy,
                        .activation = call.activation,
                        .gated = call.gated});
  }
  kernels::QuantizedGemms(products, workspace->pool);
}

}  // namespace braid::model
