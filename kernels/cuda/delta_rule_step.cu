#include "kernels/cuda/delta_rule.h"
#include "kernels/cuda/delta_rule_check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kWarps = 8;  // that share a head's keys
constexpr int kBlock = kWarps * kWarp;

// Block (32 columns of values, value head, sequence). A thread has one column
// and kKeys rows of S. With S' = diag(exp(g)) S and u = beta (v - S'^T k),
//
//   y = S'^T q + (k . q) u
//
// so one exchange between the warps serves both sums.
template <class T, int kKeys>
__global__ void __launch_bounds__(kBlock)
    DeltaRuleStepKernel(DeltaRuleParams<T> p) {
  constexpr int kDim = kKeys * kWarps;
  __shared__ float keys[2][kDim];
  __shared__ float queries[2][kDim];
  __shared__ float decays[2][kDim];
  __shared__ float key_sums[kWarps][kWarp];
  __shared__ float query_sums[kWarps][kWarp];
  __shared__ float products[kWarps];
  const DeltaRuleShape& s = p.shape;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int column = static_cast<int>(blockIdx.x) * kWarp + lane;
  const int head = static_cast<int>(blockIdx.y);
  const int64_t sequence = blockIdx.z;
  const int64_t key_at =
      static_cast<int64_t>(head / (s.value_heads / s.key_heads)) * s.key_dim;
  const int64_t value_at = static_cast<int64_t>(head) * s.value_dim + column;
  const bool there = column < s.value_dim;
  const int64_t slot = p.slots == nullptr ? sequence : p.slots[sequence];
  float* state = p.state + slot * p.state_stride +
                 static_cast<int64_t>(head) * s.key_dim * s.value_dim + column;

  float own[kKeys];
#pragma unroll
  for (int i = 0; i < kKeys; ++i) {
    const int key = warp * kKeys + i;
    own[i] = there && key < s.key_dim
                 ? state[static_cast<int64_t>(key) * s.value_dim]
                 : 0.0f;
  }
  for (int64_t t = 0; t < p.tokens; ++t) {
    const int64_t row = sequence * p.tokens + t;
    const int buffer = static_cast<int>(t % 2);
    for (int i = static_cast<int>(threadIdx.x); i < kDim; i += kBlock) {
      const bool key_there = i < s.key_dim;
      keys[buffer][i] =
          key_there ? ToFloat(p.k[row * p.ldk + key_at + i]) : 0.0f;
      queries[buffer][i] =
          key_there ? ToFloat(p.q[row * p.ldq + key_at + i]) : 0.0f;
      float g = 0.0f;
      if (!s.decay_per_key_channel) {
        g = p.g[row * p.ldg + head];
      } else if (key_there) {
        g = p.g[row * p.ldg + static_cast<int64_t>(head) * s.key_dim + i];
      }
      decays[buffer][i] = expf(g);
    }
    const float beta = p.beta[row * p.ldbeta + head];
    // Before the barrier behind which y is written: it may lie in the same
    // place.
    const float v = there ? ToFloat(p.v[row * p.ldv + value_at]) : 0.0f;
    __syncthreads();
    float key_sum = 0.0f;
    float query_sum = 0.0f;
    float product = 0.0f;
#pragma unroll
    for (int i = 0; i < kKeys; ++i) {
      const int key = warp * kKeys + i;
      const float k = keys[buffer][key];
      const float q = queries[buffer][key];
      own[i] *= decays[buffer][key];
      key_sum = fmaf(own[i], k, key_sum);
      query_sum = fmaf(own[i], q, query_sum);
      product = fmaf(k, q, product);
    }
    key_sums[warp][lane] = key_sum;
    query_sums[warp][lane] = query_sum;
    if (lane == 0) products[warp] = product;
    __syncthreads();
    key_sum = 0.0f;
    query_sum = 0.0f;
    product = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) {
      key_sum += key_sums[i][lane];
      query_sum += query_sums[i][lane];
      product += products[i];
    }
    const float update = beta * (v - key_sum);
#pragma unroll
    for (int i = 0; i < kKeys; ++i) {
      own[i] = fmaf(keys[buffer][warp * kKeys + i], update, own[i]);
    }
    if (warp == 0 && there) {
      p.y[row * p.ldy + value_at] =
          FromFloat<T>(fmaf(product, update, query_sum));
    }
  }
#pragma unroll
  for (int i = 0; i < kKeys; ++i) {
    const int key = warp * kKeys + i;
    if (there && key < s.key_dim) {
      state[static_cast<int64_t>(key) * s.value_dim] = own[i];
    }
  }
}

}  // namespace

template <class T>
Status DeltaRuleStep(const DeltaRuleParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_RETURN_IF_ERROR(CheckDeltaRule(p));
  if (p.tokens == 0) return Status();
  const dim3 grid(CeilDiv(p.shape.value_dim, kWarp),
                  static_cast<unsigned>(p.shape.value_heads),
                  static_cast<unsigned>(p.sequences));
  const auto launch = [&](void (*kernel)(DeltaRuleParams<T>)) {
    return Launch("delta rule step", kernel, grid, dim3(kBlock), 0, stream, p);
  };
  if (p.shape.key_dim <= 64) return launch(DeltaRuleStepKernel<T, 8>);
  if (p.shape.key_dim <= 128) return launch(DeltaRuleStepKernel<T, 16>);
  return launch(DeltaRuleStepKernel<T, 32>);
}

template Status DeltaRuleStep(const DeltaRuleParams<float>&, cudaStream_t);
template Status DeltaRuleStep(const DeltaRuleParams<bf16>&, cudaStream_t);

}  // namespace braid::kernels::cuda
