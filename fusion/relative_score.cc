#include "fusion/relative_score.h"

#include <algorithm>
#include <cstdint>

#include "fusion/sum_terms.h"

namespace braid::fusion {
namespace {

struct Scale {
  double factor = 0;  // the leg's share of the weights
  double min = 0;
  double max = 0;
};

Scale ScaleOf(const RankedList& list, double total_weight) {
  Scale scale;
  if (total_weight > 0) scale.factor = list.weight / total_weight;
  if (list.hits.empty()) return scale;
  const auto [min, max] = std::minmax_element(
      list.hits.begin(), list.hits.end(),
      [](const RankedHit& a, const RankedHit& b) { return a.score < b.score; });
  scale.min = min->score;
  scale.max = max->score;
  return scale;
}

}  // namespace

std::vector<FusedCandidate> RelativeScoreFusion(
    absl::Span<const RankedList> lists, size_t limit) {
  double total_weight = 0;
  for (const RankedList& list : lists) total_weight += list.weight;
  std::vector<Scale> scales;
  for (const RankedList& list : lists) {
    scales.push_back(ScaleOf(list, total_weight));
  }
  return SumTerms(
      lists,
      [&scales](size_t leg, uint32_t, double score) {
        const Scale& scale = scales[leg];
        if (scale.max <= scale.min) return scale.factor;
        return scale.factor * (score - scale.min) / (scale.max - scale.min);
      },
      limit);
}

}  // namespace braid::fusion
