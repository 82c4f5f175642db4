#include "generation/layers/linear.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "generation/layers/parallel_rows.h"
#include "kernels/elementwise.h"

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
  const Call call{.x = x, .ldx = ldx, .rows = rows, .y = y, .ldy = ldy};
  if (quantized() != nullptr) {
    kernels::QuantizedGemm(QuantizedParams(call), pool);
  } else {
    kernels::Gemm(PackedParams(call), pool);
  }
  ApplyAdapters(x, ldx, rows, y, ldy, pool);
}

kernels::QuantizedGemmParams Linear::QuantizedParams(const Call& call) const {
  return {.a = call.x,
          .lda = call.ldx,
          .a_rows = call.row_of,
          .m = call.rows,
          .b = quantized(),
          .row_scale = DataOrNull(row_scales_),
          .bias = DataOrNull(bias_),
          .residual = call.residual,
          .c = call.y,
          .ldc = call.ldy,
          .activation = call.activation,
          .gated = call.gated};
}

kernels::GemmParams Linear::PackedParams(const Call& call) const {
  return {.a = call.x,
          .lda = call.ldx,
          .m = call.rows,
          .b = &packed(),
          .bias = DataOrNull(bias_),
          .residual = call.residual,
          .c = call.y,
          .ldc = call.ldy,
          .activation = call.activation};
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
  const size_t width = linear.out();
  float* whole = Workspace::Reserve(workspace->projected, call.rows * width);
  linear.Apply(x, ldx, call.rows, whole, width, workspace->pool);
  ParallelRows(workspace->pool, call.rows, width, [&](size_t r) {
    float* row = whole + r * width;
    float* y = call.y + r * call.ldy;
    if (call.gated) {
      kernels::GatedActivation(call.activation, row, row + width / 2, y,
                               width / 2);
      return;
    }
    kernels::Activate(call.activation, row, row, width);
    if (call.residual != nullptr) {
      kernels::AddScaled(1.0f, call.residual + r * call.ldy, row, width);
    }
    std::copy(row, row + width, y);
  });
}

void Linear::ApplyAll(absl::Span<const Call> calls, Workspace* workspace) {
  std::vector<kernels::QuantizedGemmParams> products;
  for (const Call& call : calls) {
    if (!call.linear->Fuses(call)) {
      ApplyUnfused(call, workspace);
      continue;
    }
    if (call.linear->quantized() != nullptr) {
      products.push_back(call.linear->QuantizedParams(call));
    } else {
      kernels::Gemm(call.linear->PackedParams(call), workspace->pool);
    }
  }
  kernels::QuantizedGemms(products, workspace->pool);
}

}  // namespace braid::model
