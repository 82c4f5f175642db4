#include "generation/engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace braid::generation {
namespace {

// A broken model's NaN is never the best choice.
float Logit(absl::Span<const float> logits, int32_t id) {
  const float value = logits[id];
  return std::isnan(value) ? -std::numeric_limits<float>::infinity() : value;
}

}  // namespace

int32_t SampleToken(absl::Span<const float> logits,
                    const SamplingParams& params, std::mt19937_64& rng) {
  const int32_t vocab = static_cast<int32_t>(logits.size());
  int32_t best = 0;
  for (int32_t id = 1; id < vocab; ++id) {
    if (Logit(logits, id) > Logit(logits, best)) best = id;
  }
  const float top = Logit(logits, best);
  if (!(params.temperature > 0) || !std::isfinite(top)) return best;

  std::vector<int32_t> ids(vocab);
  std::iota(ids.begin(), ids.end(), 0);
  const auto more_probable = [&](int32_t a, int32_t b) {
    const float x = Logit(logits, a);
    const float y = Logit(logits, b);
    return x != y ? x > y : a < b;
  };
  if (params.top_k > 0 && params.top_k < vocab) {
    std::nth_element(ids.begin(), ids.begin() + params.top_k, ids.end(),
                     more_probable);
    ids.resize(params.top_k);
  }
  // Also without top_p: the draw then does not depend on how ids were chosen.
  std::sort(ids.begin(), ids.end(), more_probable);

  std::vector<double> probabilities;
  double sum = 0;
  for (const int32_t id : ids) {
    probabilities.push_back(std::exp(
        (static_cast<double>(Logit(logits, id)) - top) / params.temperature));
    sum += probabilities.back();
  }
  size_t kept = ids.size();
  if (params.top_p < 1.0) {
    double reached = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      reached += probabilities[i];
      if (reached >= params.top_p * sum) {
        kept = i + 1;
        break;
      }
    }
    sum = std::accumulate(probabilities.begin(), probabilities.begin() + kept,
                          0.0);
  }
  // 53 random bits to [0, 1): the same on every standard library.
  double point = static_cast<double>(rng() >> 11) * 0x1p-53 * sum;
  for (size_t i = 0; i < kept; ++i) {
    point -= probabilities[i];
    if (point < 0) return ids[i];
  }
  return ids[kept - 1];
}

}  // namespace braid::generation
