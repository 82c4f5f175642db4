// Normalisations over the last dimension of row-major matrices, in f32. The
// sums are taken in f32 over 16 partial sums in a fixed order, so a row's
// result depends neither on its neighbours nor on the number of threads.
#ifndef BRAID_KERNELS_NORM_H_
#define BRAID_KERNELS_NORM_H_

#include <cstddef>

#include "kernels/activation.h"

namespace braid::kernels {

class ThreadPool;

// out = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias, for each row.
struct LayerNormParams {
  const float* x = nullptr;  // [rows, dim], rows `ldx` apart
  size_t ldx = 0;
  size_t rows = 0;
  size_t dim = 0;
  const float* weight = nullptr;  // [dim]
  const float* bias = nullptr;    // [dim], or null
  float epsilon = 1e-5f;
  float* out = nullptr;  // [rows, dim], rows `ldo` apart; may equal `x`
  size_t ldo = 0;
};

void LayerNorm(const LayerNormParams& params, ThreadPool* pool);

// Root-mean-square norm, plain, grouped and gated:
//
//   plain        out = norm(x) * w
//   gate first   out = norm(x * act(gate)) * w         (Mamba-2: silu)
//   norm first   out = norm(x) * w * act(gate)         (Gated DeltaNet: silu,
//                                              Kimi Delta Attention: sigmoid)
//
// where norm(v) = v / sqrt(mean(v^2) + epsilon) over each of `groups` equal
// parts of a row, and w = weight + weight_offset.
enum class GateOrder { kGateFirst, kNormFirst };

struct RmsNormParams {
  const float* x = nullptr;  // [rows, dim], rows `ldx` apart
  size_t ldx = 0;
  size_t rows = 0;
  size_t dim = 0;
  size_t groups = 1;              // must divide dim
  const float* weight = nullptr;  // [dim]; [dim / groups] if shared
  bool weight_shared_by_groups = false;
  float weight_offset = 0.0f;   // 1 for families that store (w - 1)
  const float* gate = nullptr;  // [rows, dim], rows `ldg` apart, or null
  size_t ldg = 0;
  GateOrder gate_order = GateOrder::kGateFirst;
  Activation gate_activation = Activation::kSilu;  // kSilu or kSigmoid
  float epsilon = 1e-5f;
  float* out = nullptr;  // [rows, dim], rows `ldo` apart; may equal `x`
  size_t ldo = 0;
};

void RmsNorm(const RmsNormParams& params, ThreadPool* pool);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_NORM_H_
