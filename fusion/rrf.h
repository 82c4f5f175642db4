// Reciprocal rank fusion.
// Cormack, Clarke, Buettcher: "Reciprocal Rank Fusion outperforms Condorcet and
// individual Rank Learning Methods", SIGIR 2009, section 2.
#ifndef BRAID_FUSION_RRF_H_
#define BRAID_FUSION_RRF_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "fusion/ranked_list.h"

namespace braid::fusion {

struct RrfOptions {
  uint32_t rrf_k = 60;
  size_t limit = 100;
};

// The term of a hit is weight / (rrf_k + rank); without a rank it is 0.
std::vector<FusedCandidate> ReciprocalRankFusion(
    absl::Span<const RankedList> lists, const RrfOptions& options);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RRF_H_
