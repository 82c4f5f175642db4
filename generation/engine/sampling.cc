#include "generation/engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/elementwise.h"

namespace braid::generation {
namespace {

// The softmax of logits / temperature; a broken model's NaN has none of it.
// The largest logit, `top`, is finite.
std::vector<float> Probabilities(absl::Span<const float> logits, float top,
                                 double temperature) {
  const float inverse = static_cast<float>(
      std::min<double>(1 / temperature, std::numeric_limits<float>::max()));
  std::vector<float> row(logits.size());
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = std::isnan(logits[i]) ? -std::numeric_limits<float>::infinity()
                                   : (logits[i] - top) * inverse;
  }
  kernels::Softmax(row.data(), row.size());
  return row;
}

// The `count` most probable ids come first, in order.
void SortFirst(const std::vector<float>& probabilities, size_t count,
               std::vector<int32_t>* ids) {
  const auto more_probable = [&](int32_t a, int32_t b) {
    return probabilities[a] != probabilities[b]
               ? probabilities[a] > probabilities[b]
               : a < b;
  };
  std::partial_sort(ids->begin(), ids->begin() + static_cast<ptrdiff_t>(count),
                    ids->end(), more_probable);
}

// The ids that top_k and top_p leave, the most probable first; all of them as
// they come if both leave all.
std::vector<int32_t> Candidates(const std::vector<float>& probabilities,
                                const SamplingParams& params) {
  std::vector<int32_t> ids(probabilities.size());
  std::iota(ids.begin(), ids.end(), 0);
  const bool all =
      params.top_k <= 0 || static_cast<size_t>(params.top_k) >= ids.size();
  if (!all) {
    SortFirst(probabilities, params.top_k, &ids);
    ids.resize(params.top_k);
  }
  if (!(params.top_p < 1.0)) return ids;
  double sum = 0;
  for (const int32_t id : ids) sum += probabilities[id];
  // Most of what is probable is in few tokens: sorting all would cost more
  // than computing them.
  size_t sorted = all ? 0 : ids.size();
  double reached = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(std::max<size_t>(64, 8 * sorted), ids.size());
      SortFirst(probabilities, sorted, &ids);
    }
    reached += probabilities[ids[i]];
    if (reached >= params.top_p * sum) {
      ids.resize(i + 1);
      break;
    }
  }
  return ids;
}

}  // namespace

int32_t SampleToken(absl::Span<const float> logits,
                    const SamplingParams& params, std::mt19937_64& rng) {
  const int32_t best =
      static_cast<int32_t>(kernels::ArgMax(logits.data(), logits.size()));
  const float top = logits[best];
  if (!(params.temperature > 0) || !std::isfinite(top)) return best;

  const std::vector<float> probabilities =
      Probabilities(logits, top, params.temperature);
  const std::vector<int32_t> ids = Candidates(probabilities, params);
  double sum = 0;
  for (const int32_t id : ids) sum += probabilities[id];
  // 53 random bits to [0, 1): the same on every standard library.
  double point = static_cast<double>(rng() >> 11) * 0x1p-53 * sum;
  for (const int32_t id : ids) {
    point -= probabilities[id];
    if (point < 0) return id;
  }
  return best;  // all that rounding has left
}

}  // namespace braid::generation
