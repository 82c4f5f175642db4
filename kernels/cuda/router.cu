#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/router.h"
#include "kernels/cuda/vector.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kBlock = 128;
constexpr int kMaxGroups = kWarp;

struct Best {
  float score;
  int number;
};

__device__ bool IsBetter(const Best& a, const Best& b) {
  return a.score > b.score || (a.score == b.score && a.number < b.number);
}

// The best of the warp, for each lane.
__device__ Best WarpBest(Best best) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const Best other{__shfl_xor_sync(kAllLanes, best.score, step),
                     __shfl_xor_sync(kAllLanes, best.number, step)};
    if (IsBetter(other, best)) best = other;
  }
  return best;
}

// What every expert is better than.
__device__ Best None() { return {-INFINITY, kMaxExperts}; }

// Scores that are not numbers come last, so that the choice is always one of
// experts that exist.
__device__ float Ordered(float score) {
  return isnan(score) ? -INFINITY : score;
}

// A warp has one row; lane l has experts l, l + 32, ...: kEach of them.
template <int kEach>
__global__ void __launch_bounds__(kBlock) RouterKernel(RouterParams p) {
  const int64_t row =
      static_cast<int64_t>(blockIdx.x) * (kBlock / kWarp) + threadIdx.x / kWarp;
  if (row >= p.rows) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const float* logits = p.logits + row * p.ld;

  float score[kEach];      // of the weight
  float selection[kEach];  // of the choice
  float highest = -INFINITY;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int expert = i * kWarp + lane;
    score[i] = expert < p.experts ? logits[expert] : -INFINITY;
    highest = fmaxf(highest, score[i]);
  }
  if (p.score == RouterScore::kSoftmax) {
    highest = WarpMax(highest);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      score[i] = expf(score[i] - highest);
      sum += score[i];
    }
    sum = WarpSum(sum);
#pragma unroll
    for (int i = 0; i < kEach; ++i) score[i] /= sum;
  } else if (p.score == RouterScore::kSigmoid) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) score[i] = Sigmoid(score[i]);
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int expert = i * kWarp + lane;
    selection[i] = -INFINITY;
    if (expert < p.experts) {
      selection[i] = Ordered(score[i] + (p.correction_bias == nullptr
                                             ? 0.0f
                                             : p.correction_bias[expert]));
    }
  }

  if (p.groups > 1) {
    const int members = p.experts / p.groups;
    float group_score = -INFINITY;  // of group `lane`
    for (int group = 0; group < p.groups; ++group) {
      Best first = None();
      Best second = None();
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int expert = i * kWarp + lane;
        const Best own{selection[i], expert};
        if (expert >= p.experts || expert / members != group) continue;
        if (IsBetter(own, first)) {
          second = first;
          first = own;
        } else if (IsBetter(own, second)) {
          second = own;
        }
      }
      const Best best = WarpBest(first);
      // The lane that has the best offers its second now.
      const Best next = WarpBest(first.number == best.number ? second : first);
      const float sum = best.score + (members > 1 ? next.score : 0.0f);
      if (lane == group) group_score = Ordered(sum);
    }
    unsigned kept = 0;  // bit of each group
    for (int i = 0; i < p.top_groups; ++i) {
      const bool out = lane >= p.groups || (kept >> lane & 1u) != 0;
      const Best best = WarpBest(out ? None() : Best{group_score, lane});
      kept |= 1u << best.number;
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int expert = i * kWarp + lane;
      if (expert < p.experts && (kept >> (expert / members) & 1u) == 0) {
        selection[i] = -INFINITY;
      }
    }
  }

  // The k-th choice stays with lane k.
  unsigned taken = 0;  // bit of each of the lane's experts
  int chosen = 0;
  float weight = -INFINITY;
  for (int k = 0; k < p.top_k; ++k) {
    Best own = None();
    float own_score = 0.0f;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int expert = i * kWarp + lane;
      const Best candidate{selection[i], expert};
      if (expert < p.experts && (taken >> i & 1u) == 0 &&
          IsBetter(candidate, own)) {
        own = candidate;
        own_score = score[i];
      }
    }
    const Best best = WarpBest(own);
    const float best_score =
        __shfl_sync(kAllLanes, own_score, best.number % kWarp);
    if (best.number % kWarp == lane) taken |= 1u << (best.number / kWarp);
    if (lane == k) {
      chosen = best.number;
      weight = best_score;
    }
  }
  const bool there = lane < p.top_k;
  if (p.score == RouterScore::kSoftmaxOfChosen) {
    const float most = WarpMax(weight);
    weight = there ? expf(weight - most) : 0.0f;
    weight /= WarpSum(weight);
  }
  float factor = p.scale;
  if (p.normalize) {
    factor /= WarpSum(there ? weight : 0.0f) + p.normalize_epsilon;
  }
  if (there) {
    p.chosen[row * p.top_k + lane] = chosen;
    p.weights[row * p.top_k + lane] = weight * factor;
  }
}

}  // namespace

Status Route(const RouterParams& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.rows >= 0, "router: rows");
  BRAID_CUDA_REQUIRE(p.experts > 0 && p.experts <= kMaxExperts,
                     "router: 1 to 1024 experts");
  BRAID_CUDA_REQUIRE(
      p.groups > 0 && p.groups <= kMaxGroups && p.experts % p.groups == 0,
      "router: at most 32 groups of equal size");
  BRAID_CUDA_REQUIRE(p.top_groups > 0 && p.top_groups <= p.groups,
                     "router: top_groups");
  BRAID_CUDA_REQUIRE(
      p.top_k > 0 && p.top_k <= kMaxTopK &&
          p.top_k <= p.experts / p.groups * p.top_groups,
      "router: top_k must be at most 32 and the experts of the best groups");
  const dim3 grid(CeilDiv(p.rows, kBlock / kWarp));
  const auto launch = [&](void (*kernel)(RouterParams)) {
    return Launch("router", kernel, grid, dim3(kBlock), 0, stream, p);
  };
  if (p.experts <= 32) return launch(RouterKernel<1>);
  if (p.experts <= 64) return launch(RouterKernel<2>);
  if (p.experts <= 128) return launch(RouterKernel<4>);
  if (p.experts <= 256) return launch(RouterKernel<8>);
  if (p.experts <= 512) return launch(RouterKernel<16>);
  return launch(RouterKernel<32>);
}

}  // namespace braid::kernels::cuda
