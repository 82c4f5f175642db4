// Running sums of the logarithms of decays inside a chunk of tokens.
#ifndef BRAID_KERNELS_CUDA_DECAY_SUMS_CUH_
#define BRAID_KERNELS_CUDA_DECAY_SUMS_CUH_

#include <cuda_runtime.h>

#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {

// In shared memory. Differences of these sums are exponents, so an absolute
// error of a sum is a relative error of the result: each sum is kept as two
// floats, the second what the first could not hold.
template <int kCount>
struct DecaySums {
  float high[kCount];
  float low[kCount];

  // Fills the sums of log_decay(0), ... log_decay(i), each of which is asked
  // for once. Of a block, its first warp; the caller synchronises.
  template <class LogDecay>
  __device__ void Fill(const LogDecay& log_decay) {
    constexpr int kEach = kCount / kWarp;
    static_assert(kCount % kWarp == 0);
    if (threadIdx.x >= kWarp) return;
    const int lane = static_cast<int>(threadIdx.x);
    double own[kEach];
    double sum = 0.0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      sum += log_decay(lane * kEach + i);
      own[i] = sum;
    }
    double before = sum;  // of the lanes up to this one, then without it
#pragma unroll
    for (int step = 1; step < kWarp; step *= 2) {
      const double other = __shfl_up_sync(kAllLanes, before, step);
      if (lane >= step) before += other;
    }
    before -= sum;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const double value = before + own[i];
      const auto rounded = static_cast<float>(value);
      high[lane * kEach + i] = rounded;
      low[lane * kEach + i] = static_cast<float>(value - rounded);
    }
  }

  // The decay from the start of the chunk up to token t, and from behind token
  // s up to token t.
  __device__ float Until(int t) const { return expf(high[t] + low[t]); }
  __device__ float Between(int s, int t) const {
    return expf((high[t] - high[s]) + (low[t] - low[s]));
  }
};

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_DECAY_SUMS_CUH_
