// Reciprocal rank fusion.
// Cormack, Clarke, Buettcher: "Reciprocal Rank Fusion outperforms Condorcet and
// individual Rank Learning Methods", SIGIR 2009, section 2.
#ifndef BRAID_FUSION_RRF_H_
#define BRAID_FUSION_RRF_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace braid::fusion {

// One hit of a leg. `id` is whatever the caller names its candidates by.
struct RankedHit {
  uint64_t id = 0;
  double score = 0;
};

// The hits of one leg, best first, each id once.
struct RankedList {
  std::vector<RankedHit> hits;
  double weight = 1.0;
};

// What one leg says of a candidate.
struct LegContribution {
  uint32_t rank = 0;  // from 1; 0 where the leg did not find it
  double score = 0;   // raw
  double term = 0;    // weight / (rrf_k + rank)
};

struct FusedCandidate {
  uint64_t id = 0;
  double score = 0;                   // sum of the terms
  std::vector<LegContribution> legs;  // parallel to the input lists
};

struct RrfOptions {
  uint32_t rrf_k = 60;
  size_t limit = 100;
};

// Best first. Equal scores: the candidate that the earlier list found, then by
// its rank there. Deterministic.
std::vector<FusedCandidate> ReciprocalRankFusion(
    absl::Span<const RankedList> lists, const RrfOptions& options);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RRF_H_
