#include "fusion/relative_score.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fusion/sum_terms.h"

namespace braid::fusion {
namespace {

// What the scores of a list are multiplied with, its weight aside.
double ScaleOf(const RankedList& list) {
  if (list.scale != ScoreScale::kRelative) return 1;
  double best = 0;
  for (const RankedHit& hit : list.hits) best = std::max(best, hit.score);
  if (best <= 0) return 0;
  return 1 / (kBestScoreFactor * std::pow(best, kBestScoreExponent));
}

}  // namespace

std::vector<FusedCandidate> RelativeScoreFusion(
    absl::Span<const RankedList> lists, size_t limit) {
  double total_weight = 0;
  for (const RankedList& list : lists) {
    if (list.scale != ScoreScale::kBonus) total_weight += list.weight;
  }
  std::vector<double> factors;
  for (const RankedList& list : lists) {
    double share = total_weight > 0 ? list.weight / total_weight : 0;
    if (list.scale == ScoreScale::kBonus) share = 1;
    factors.push_back(share * ScaleOf(list));
  }
  return SumTerms(
      lists,
      [&factors](size_t leg, uint32_t, double score) {
        return factors[leg] * score;
      },
      limit);
}

}  // namespace braid::fusion
