// Causal depthwise convolution over time with carried state, in f32: the short
// convolution in front of Mamba and Gated DeltaNet layers.
#ifndef BRAID_KERNELS_CONV1D_H_
#define BRAID_KERNELS_CONV1D_H_

#include <cstddef>

#include "kernels/activation.h"

namespace braid::kernels {

class ThreadPool;

//   out[t][c] = act(bias[c] + sum_j taps[j][c] * in[t - (kernel - 1) + j][c])
//
// where `in` is the state followed by `x`. One token (decode) is rows = 1.
struct CausalConv1dParams {
  const float* x = nullptr;  // [rows, channels], rows `ldx` apart
  size_t ldx = 0;
  size_t rows = 0;
  size_t channels = 0;
  size_t kernel = 0;            // 1 to 16 taps
  const float* taps = nullptr;  // [kernel, channels]: see ConvTapsFromHf
  const float* bias = nullptr;  // [channels], or null
  // [kernel - 1, channels], in and out: the last kernel - 1 inputs before the
  // activation, oldest first. All zero before the first token.
  float* state = nullptr;
  Activation activation = Activation::kNone;  // kNone or kSilu
  float* out = nullptr;  // [rows, channels], rows `ldo` apart; not `x`
  size_t ldo = 0;
};

void CausalConv1d(const CausalConv1dParams& params, ThreadPool* pool);

// Turns HF's weight [channels, 1, kernel] into taps [kernel, channels].
void ConvTapsFromHf(const float* weight, size_t channels, size_t kernel,
                    float* taps);

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CONV1D_H_
