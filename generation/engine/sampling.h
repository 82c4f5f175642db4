// How tokens are chosen, and why generation ends.
#ifndef BRAID_GENERATION_ENGINE_SAMPLING_H_
#define BRAID_GENERATION_ENGINE_SAMPLING_H_

#include <cstdint>
#include <random>

#include "absl/types/span.h"

namespace braid::generation {

struct SamplingParams {
  double temperature = 0;  // 0: greedy
  int top_k = 0;           // 0: all
  double top_p = 1.0;
  uint64_t seed = 0;
};

enum class FinishReason { kStop, kLength, kAbstained, kCancelled, kDeadline };

// Picks a token from `logits`, [vocab]. Greedy (temperature 0) takes the
// largest logit, the smallest id among equals; otherwise softmax at the
// temperature over the top_k most probable tokens, cut to those that together
// reach top_p. Deterministic for a given state of `rng`.
int32_t SampleToken(absl::Span<const float> logits,
                    const SamplingParams& params, std::mt19937_64& rng);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_SAMPLING_H_
