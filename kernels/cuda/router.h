// Which experts a token visits, and with what weights, from the logits of a
// linear layer: generation/layers/router.h on the GPU. In f32. For what holds
// of all parameters see kernels/cuda/norm.h.
#ifndef BRAID_KERNELS_CUDA_ROUTER_H_
#define BRAID_KERNELS_CUDA_ROUTER_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/status.h"

namespace braid::kernels::cuda {

inline constexpr int kMaxExperts = 1024;
inline constexpr int kMaxTopK = 32;

// Softmax over all experts before the choice, or over the chosen ones' logits
// after it, or the sigmoid of each.
enum class RouterScore { kSoftmax, kSoftmaxOfChosen, kSigmoid };

struct RouterParams {
  const float* logits = nullptr;  // [rows, experts]
  int64_t ld = 0;
  int64_t rows = 0;
  int experts = 0;  // at most kMaxExperts
  RouterScore score = RouterScore::kSoftmax;
  int top_k = 0;  // at most kMaxTopK and `experts`
  // [experts]: added to the score for the choice, not for the weight; or null.
  const float* correction_bias = nullptr;
  // With groups > 1, experts are chosen inside the best top_groups of equal
  // groups; a group's score is the sum of its two best experts' (biased)
  // scores. At most 32 groups.
  int groups = 1;
  int top_groups = 1;
  bool normalize = false;  // divide the weights by their sum + epsilon
  float normalize_epsilon = 1e-20f;
  float scale = 1.0f;  // of the weights, after that
  // [rows, top_k], the best first. Of equal scores the expert with the smaller
  // number is better.
  int32_t* chosen = nullptr;
  float* weights = nullptr;  // [rows, top_k]
};

Status Route(const RouterParams& params, cudaStream_t stream);

}  // namespace braid::kernels::cuda

#endif  // BRAID_KERNELS_CUDA_ROUTER_H_
