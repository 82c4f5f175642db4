// Relative-score fusion: a convex combination of the legs' scores, each scaled
// to 0..1 over its own list. Unlike ranks, scores tell a hit that stands out
// (an exact identifier) from one that merely came first. Bruch, Gai, Ingber:
// "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023,
// section 4, with min-max scaling.
#ifndef BRAID_FUSION_RELATIVE_SCORE_H_
#define BRAID_FUSION_RELATIVE_SCORE_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "fusion/ranked_list.h"

namespace braid::fusion {

// The term of a hit is weight / (sum of the weights) * (score - min) /
// (max - min), minimum and maximum those of its list; where they are equal, the
// last factor is 1. Fused scores lie between 0 and 1.
std::vector<FusedCandidate> RelativeScoreFusion(
    absl::Span<const RankedList> lists, size_t limit);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RELATIVE_SCORE_H_
