#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ssd.h"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kRowsPerWarp = 4;  // of a head's state; enough loads in flight
constexpr int kRowsPerBlock = kWarps * kRowsPerWarp;
constexpr int kBlock = kWarps * kWarp;

// A warp has kRowsPerWarp rows of one head's state, 32 * kCount columns at a
// time.
template <class T, int kCount>
__global__ void __launch_bounds__(kBlock) SsdStepKernel(SsdParams<T> p) {
  const SsdShape& s = p.shape;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t token = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y);
  const int first = static_cast<int>(blockIdx.z) * kRowsPerBlock +
                    static_cast<int>(threadIdx.x) / kWarp * kRowsPerWarp;
  const int group = head / (s.heads / s.groups);
  const float dt = p.dt[token * p.lddt + head];
  const float decay = expf(dt * p.a[head]);
  const int64_t slot = p.slots == nullptr ? token : p.slots[token];
  float* state = p.state + slot * p.state_stride +
                 static_cast<int64_t>(head) * s.head_dim * s.state_dim;
  const T* b = p.b + token * p.ldb + static_cast<int64_t>(group) * s.state_dim;
  const T* c = p.c + token * p.ldc + static_cast<int64_t>(group) * s.state_dim;
  const T* x = p.x + token * p.ldx + static_cast<int64_t>(head) * s.head_dim;
  T* y = p.y + token * p.ldy + static_cast<int64_t>(head) * s.head_dim;

  float input[kRowsPerWarp];
  float sum[kRowsPerWarp] = {};
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    input[r] = first + r < s.head_dim ? ToFloat(x[first + r]) : 0.0f;
  }
  for (int n = lane * kCount; n < s.state_dim; n += kWarp * kCount) {
    float values[kRowsPerWarp][kCount];
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) {
      if (first + r < s.head_dim) {
        LoadFloats<kCount>(state + (first + r) * s.state_dim + n, values[r]);
      }
    }
    float from[kCount];
    float to[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      from[i] = dt * ToFloat(b[n + i]);
      to[i] = ToFloat(c[n + i]);
    }
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) {
      if (first + r >= s.head_dim) continue;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        values[r][i] = fmaf(decay, values[r][i], input[r] * from[i]);
        sum[r] = fmaf(values[r][i], to[i], sum[r]);
      }
      StoreFloats<kCount>(values[r], state + (first + r) * s.state_dim + n);
    }
  }
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const float total = WarpSum(sum[r]);
    if (lane == 0 && first + r < s.head_dim) {
      const float d = p.d == nullptr ? 0.0f : p.d[head];
      y[first + r] = FromFloat<T>(fmaf(d, input[r], total));
    }
  }
}

}  // namespace

template <class T>
Status SsdStep(const SsdParams<T>& p, cudaStream_t stream) {
  const SsdShape& s = p.shape;
  BRAID_CUDA_REQUIRE(p.tokens >= 0 && p.tokens < (int64_t{1} << 31),
                     "ssd step: tokens");
  BRAID_CUDA_REQUIRE(s.heads > 0 && s.head_dim > 0 && s.state_dim > 0,
                     "ssd step: empty shape");
  BRAID_CUDA_REQUIRE(s.groups > 0 && s.heads % s.groups == 0,
                     "ssd step: groups must divide heads");
  BRAID_CUDA_REQUIRE(p.tokens <= 1 || p.state_stride >= s.state_floats(),
                     "ssd step: states overlap");
  const dim3 grid(static_cast<unsigned>(p.tokens),
                  static_cast<unsigned>(s.heads),
                  CeilDiv(s.head_dim, kRowsPerBlock));
  const bool packed = CanPack(p.state, p.state_stride) && s.state_dim % 4 == 0;
  return Launch("ssd step", packed ? SsdStepKernel<T, 4> : SsdStepKernel<T, 1>,
                grid, dim3(kBlock), 0, stream, p);
}

template Status SsdStep(const SsdParams<float>&, cudaStream_t);
template Status SsdStep(const SsdParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
