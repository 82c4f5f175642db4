// Relative-score fusion: a convex combination of the legs' scores. Unlike
// ranks, scores tell a hit that stands out (an exact identifier) from one that
// merely came first. Bruch, Gai, Ingber: "An Analysis of Fusion Functions for
// Hybrid Retrieval", ACM TOIS 42(1), 2023, sections 4 and 5.
//
// As they advise, scores are not shifted by the least score found, which
// depends on how deep the lists go, but by the least one possible, and a cosine
// needs no scaling at all. What a BM25 score is worth depends on the query: the
// best one is around 8 for one word and 60 for thirty. The scores are divided
// by a power of the best: by the best itself (exponent 1), the weakest match of
// a query that matches nothing well would count as much as an exact one; by a
// constant (exponent 0), cosines would not matter to long queries.
#ifndef BRAID_FUSION_RELATIVE_SCORE_H_
#define BRAID_FUSION_RELATIVE_SCORE_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "fusion/ranked_list.h"

namespace braid::fusion {

// Tuned on the development queries of five sets together; the README has the
// figures. Exponents of 0.7 to 0.85 with the constant to match are as good.
inline constexpr double kBestScoreExponent = 0.75;
inline constexpr double kBestScoreFactor = 3.0;

// The term of a hit is weight / (sum of the weights) * its scaled score. A
// score of an absolute scale counts as it is; one of a relative scale is
// divided by kBestScoreFactor * best ^ kBestScoreExponent, best being the
// list's best. A leg that says nothing of a candidate adds nothing. The terms
// of a kBonus list are its scores: it has no part in the weights.
std::vector<FusedCandidate> RelativeScoreFusion(
    absl::Span<const RankedList> lists, size_t limit);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RELATIVE_SCORE_H_
