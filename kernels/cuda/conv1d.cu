#include <algorithm>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/conv1d.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kBlock = 128;
// Tokens that a thread computes, with the inputs of the last taps in registers.
constexpr int kStrip = 32;
constexpr int kMaxTaps = 16;

template <class T>
__device__ float* StateOf(const CausalConv1dParams<T>& p, int sequence) {
  const int64_t slot = p.slots == nullptr ? sequence : p.slots[sequence];
  return p.state + slot * p.state_stride;
}

// Row i of the state followed by x, kCount channels from c.
template <int kCount, class T>
__device__ void LoadInput(const CausalConv1dParams<T>& p, const float* state,
                          int sequence, int64_t i, int c,
                          float (&values)[kCount]) {
  const int history = p.kernel - 1;
  if (i < history) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) values[j] = state[i * p.channels + c + j];
  } else {
    LoadFloats<kCount>(p.x + (sequence * p.tokens + i - history) * p.ldx + c,
                       values);
  }
}

// One strip of kCount channels; kTaps is at least the kernel's, and taps before
// its first are zero.
template <class T, int kCount, int kTaps>
__global__ void __launch_bounds__(kBlock) ConvKernel(CausalConv1dParams<T> p) {
  const int sequence = static_cast<int>(blockIdx.z);
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kStrip;
  const int c = static_cast<int>(blockIdx.x * kBlock + threadIdx.x) * kCount;
  if (c >= p.channels) return;
  const float* state = StateOf(p, sequence);
  const int missing = kTaps - p.kernel;

  float taps[kTaps][kCount] = {};
  float window[kTaps][kCount] = {};
#pragma unroll
  for (int j = 0; j < kTaps; ++j) {
    if (j < missing) continue;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      taps[j][i] = p.taps[(j - missing) * p.channels + c + i];
    }
    // All inputs of the strip's first token but the newest, one place late.
    if (j > missing) {
      LoadInput<kCount>(p, state, sequence, first + j - missing - 1, c,
                        window[j]);
    }
  }
  float bias[kCount] = {};
  if (p.bias != nullptr) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) bias[i] = p.bias[c + i];
  }

  const int64_t end = min(p.tokens, first + kStrip);
  for (int64_t t = first; t < end; ++t) {
#pragma unroll
    for (int j = 0; j + 1 < kTaps; ++j) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) window[j][i] = window[j + 1][i];
    }
    LoadInput<kCount>(p, state, sequence, t + p.kernel - 1, c,
                      window[kTaps - 1]);
    float sum[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      sum[i] = bias[i];
#pragma unroll
      for (int j = 0; j < kTaps; ++j) {
        sum[i] = fmaf(window[j][i], taps[j][i], sum[i]);
      }
      sum[i] = Activated(p.activation, sum[i]);
    }
    StoreFloats<kCount>(sum, p.out + (sequence * p.tokens + t) * p.ldo + c);
  }
}

// The state after the call: a kernel of its own, since strips read the old one.
template <class T>
__global__ void __launch_bounds__(kBlock) StateKernel(CausalConv1dParams<T> p) {
  const int sequence = static_cast<int>(blockIdx.y);
  const int c = static_cast<int>(blockIdx.x * kBlock + threadIdx.x);
  if (c >= p.channels) return;
  float* state = StateOf(p, sequence);
  // Ascending: row i + tokens is not overwritten before it is read.
  for (int i = 0; i + 1 < p.kernel; ++i) {
    float value[1];
    LoadInput<1>(p, state, sequence, i + p.tokens, c, value);
    state[static_cast<int64_t>(i) * p.channels + c] = value[0];
  }
}

template <class T, int kCount>
Status LaunchConv(const CausalConv1dParams<T>& p, cudaStream_t stream) {
  const dim3 grid(CeilDiv(p.channels, kBlock * kCount),
                  CeilDiv(p.tokens, kStrip),
                  static_cast<unsigned>(p.sequences));
  return p.kernel <= 4
             ? Launch("conv1d", ConvKernel<T, kCount, 4>, grid, dim3(kBlock), 0,
                      stream, p)
             : Launch("conv1d", ConvKernel<T, 1, kMaxTaps>,
                      dim3(CeilDiv(p.channels, kBlock), grid.y, grid.z),
                      dim3(kBlock), 0, stream, p);
}

// Tokens of one launch: what the grid's second dimension holds.
constexpr int64_t kMaxTokens = int64_t{65535} * kStrip;

}  // namespace

template <class T>
Status CausalConv1d(const CausalConv1dParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.kernel >= 1 && p.kernel <= kMaxTaps,
                     "conv1d: 1 to 16 taps");
  BRAID_CUDA_REQUIRE(p.sequences >= 0 && p.channels > 0, "conv1d: sizes");
  BRAID_CUDA_REQUIRE(p.tokens >= 0 && p.tokens <= kMaxTokens,
                     "conv1d: too many tokens in one call");
  BRAID_CUDA_REQUIRE(static_cast<const void*>(p.x) != p.out,
                     "conv1d: not in place");
  constexpr int kCount = kPackSize<T> / 2;  // more would not fit the registers
  const bool packed =
      CanPack(p.x, p.ldx) && CanPack(p.out, p.ldo) && p.channels % kCount == 0;
  BRAID_CUDA_RETURN_IF_ERROR(packed ? (LaunchConv<T, kCount>(p, stream))
                                    : (LaunchConv<T, 1>(p, stream)));
  if (p.kernel == 1 || p.tokens == 0) return Status();
  return Launch(
      "conv1d state", StateKernel<T>,
      dim3(CeilDiv(p.channels, kBlock), static_cast<unsigned>(p.sequences)),
      dim3(kBlock), 0, stream, p);
}

template Status CausalConv1d(const CausalConv1dParams<float>&, cudaStream_t);
template Status CausalConv1d(const CausalConv1dParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
