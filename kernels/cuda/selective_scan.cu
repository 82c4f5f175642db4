#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/selective_scan.h"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kBlock = 128;
constexpr int kLanes = 4;  // threads that share a channel's states
constexpr int kChannels = kBlock / kLanes;
// Tokens whose inputs are brought to shared memory together. The next ones are
// on their way, in registers, while these are computed.
constexpr int kTokens = 32;
constexpr int kEach = kTokens * kChannels / kBlock;

// Block (channels, sequence). kStates are those of one thread: numbers lane,
// lane + kLanes, ...
template <class T, int kStates>
__global__ void __launch_bounds__(kBlock)
    SelectiveScanKernel(SelectiveScanParams<T> p) {
  constexpr int kDim = kStates * kLanes;
  constexpr int kEachState = (kTokens * kDim + kBlock - 1) / kBlock;
  __shared__ float x_tile[kTokens][kChannels];
  __shared__ float y_tile[kTokens][kChannels];
  __shared__ float dt_tile[kTokens][kChannels];
  __shared__ float b_tile[kTokens][kDim];
  __shared__ float c_tile[kTokens][kDim];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kLanes;
  const int own = thread / kLanes;  // channel in the block
  const int first = static_cast<int>(blockIdx.x) * kChannels;
  const int channel = first + own;
  const int64_t sequence = blockIdx.y;
  const int64_t row = sequence * p.tokens;
  const int64_t slot = p.slots == nullptr ? sequence : p.slots[sequence];
  float* state = p.state + slot * p.state_stride +
                 static_cast<int64_t>(channel) * p.state_dim;

  float a[kStates];
  float s[kStates];
#pragma unroll
  for (int i = 0; i < kStates; ++i) {
    const int n = i * kLanes + lane;
    const bool there = channel < p.channels && n < p.state_dim;
    // exp(x) = 2^(x log2 e)
    a[i] = there ? p.a[static_cast<int64_t>(channel) * p.state_dim + n] *
                       1.44269504088896341f
                 : 0.0f;
    s[i] = there ? state[n] : 0.0f;
  }
  const float d = p.d == nullptr || channel >= p.channels ? 0.0f : p.d[channel];

  float next_x[kEach];
  float next_dt[kEach];
  float next_b[kEachState];
  float next_c[kEachState];
  const auto fetch = [&](int64_t at) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int64_t t = at + (i * kBlock + thread) / kChannels;
      const int c = first + thread % kChannels;
      const bool there = t < p.tokens && c < p.channels;
      next_x[i] = there ? ToFloat(p.x[(row + t) * p.ldx + c]) : 0.0f;
      next_dt[i] = there ? p.dt[(row + t) * p.lddt + c] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kEachState; ++i) {
      const int64_t t = at + (i * kBlock + thread) / kDim;
      const int n = (i * kBlock + thread) % kDim;
      const bool there = t < p.tokens && n < p.state_dim;
      next_b[i] = there ? ToFloat(p.b[(row + t) * p.ldb + n]) : 0.0f;
      next_c[i] = there ? ToFloat(p.c[(row + t) * p.ldc + n]) : 0.0f;
    }
  };

  fetch(0);
  for (int64_t at = 0; at < p.tokens; at += kTokens) {
    __syncthreads();  // the tiles of the tokens before have been read
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int t = (i * kBlock + thread) / kChannels;
      x_tile[t][thread % kChannels] = next_x[i];
      dt_tile[t][thread % kChannels] = next_dt[i];
    }
#pragma unroll
    for (int i = 0; i < kEachState; ++i) {
      const int t = (i * kBlock + thread) / kDim;
      const int n = (i * kBlock + thread) % kDim;
      if (t < kTokens) {
        b_tile[t][n] = next_b[i];
        c_tile[t][n] = next_c[i];
      }
    }
    __syncthreads();
    if (at + kTokens < p.tokens) fetch(at + kTokens);

    const int count =
        static_cast<int>(min(static_cast<int64_t>(kTokens), p.tokens - at));
    for (int t = 0; t < count; ++t) {
      const float dt = dt_tile[t][own];
      const float x = x_tile[t][own];
      const float input = dt * x;
      float y = 0.0f;
#pragma unroll
      for (int i = 0; i < kStates; ++i) {
        const int n = i * kLanes + lane;
        s[i] = fmaf(exp2f(dt * a[i]), s[i], input * b_tile[t][n]);
        y = fmaf(s[i], c_tile[t][n], y);
      }
      y += __shfl_xor_sync(kAllLanes, y, 1);
      y += __shfl_xor_sync(kAllLanes, y, 2);
      if (lane == 0) y_tile[t][own] = fmaf(d, x, y);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int64_t t = at + (i * kBlock + thread) / kChannels;
      const int c = first + thread % kChannels;
      if (t < p.tokens && c < p.channels) {
        p.y[(row + t) * p.ldy + c] =
            FromFloat<T>(y_tile[t - at][thread % kChannels]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kStates; ++i) {
    const int n = i * kLanes + lane;
    if (channel < p.channels && n < p.state_dim) state[n] = s[i];
  }
}

}  // namespace

template <class T>
Status SelectiveScan(const SelectiveScanParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.sequences >= 0 && p.tokens >= 0 && p.channels > 0,
                     "selective scan: sizes");
  BRAID_CUDA_REQUIRE(p.state_dim > 0 && p.state_dim <= kMaxScanStateDim,
                     "selective scan: 1 to 64 states");
  if (p.tokens == 0) return Status();
  const dim3 grid(CeilDiv(p.channels, kChannels),
                  static_cast<unsigned>(p.sequences));
  const auto launch = [&](void (*kernel)(SelectiveScanParams<T>)) {
    return Launch("selective scan", kernel, grid, dim3(kBlock), 0, stream, p);
  };
  if (p.state_dim <= 8) return launch(SelectiveScanKernel<T, 2>);
  if (p.state_dim <= 16) return launch(SelectiveScanKernel<T, 4>);
  if (p.state_dim <= 32) return launch(SelectiveScanKernel<T, 8>);
  return launch(SelectiveScanKernel<T, 16>);
}

template Status SelectiveScan(const SelectiveScanParams<float>&, cudaStream_t);
template Status SelectiveScan(const SelectiveScanParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
