// What the fusions take and give.
#ifndef BRAID_FUSION_RANKED_LIST_H_
#define BRAID_FUSION_RANKED_LIST_H_

#include <cstdint>
#include <vector>

namespace braid::fusion {

// One hit of a leg. `id` is whatever the caller names its candidates by.
struct RankedHit {
  uint64_t id = 0;
  double score = 0;
};

// What the scores of a list can be compared with.
enum class ScoreScale {
  // With those of any other query: cosines.
  kAbsolute,
  // With those of the same query only; from 0 upwards without a bound: BM25,
  // which grows with the number and the rarity of the query's words.
  kRelative,
  // With fused scores: added to what the other lists give together. Where only
  // ranks count, a list like the others.
  kBonus,
};

// The hits of one leg, best first, each id once.
struct RankedList {
  std::vector<RankedHit> hits;
  double weight = 1.0;  // not of a kBonus list in a fusion of scores
  ScoreScale scale = ScoreScale::kAbsolute;
  // Scores, in any order, that the leg gives to what it did not find among its
  // best but another leg did. Fusions of scores count them; nothing becomes a
  // candidate by them.
  std::vector<RankedHit> others = {};
};

// What one leg says of a candidate.
struct LegContribution {
  uint32_t rank = 0;    // from 1; 0 where the leg did not find it
  bool scored = false;  // it found it, or scored it as one of `others`
  double score = 0;     // raw
  double term = 0;      // what it adds to the fused score
};

// Fusions return these best first. Equal scores: the candidate that the earlier
// list found, then by its rank there. Deterministic.
struct FusedCandidate {
  uint64_t id = 0;
  double score = 0;                   // sum of the terms
  std::vector<LegContribution> legs;  // parallel to the input lists
};

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RANKED_LIST_H_
