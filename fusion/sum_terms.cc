#include "fusion/sum_terms.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace braid::fusion {

std::vector<FusedCandidate> SumTerms(absl::Span<const RankedList> lists,
                                     TermOf term_of, size_t limit) {
  size_t total = 0;
  for (const RankedList& list : lists) total += list.hits.size();
  std::vector<FusedCandidate> fused;
  fused.reserve(total);
  absl::flat_hash_map<uint64_t, size_t> position;
  position.reserve(total);

  for (size_t leg = 0; leg < lists.size(); ++leg) {
    uint32_t rank = 0;
    for (const RankedHit& hit : lists[leg].hits) {
      ++rank;
      const auto [it, inserted] = position.try_emplace(hit.id, fused.size());
      if (inserted) {
        FusedCandidate& candidate = fused.emplace_back();
        candidate.id = hit.id;
        candidate.legs.resize(lists.size());
      }
      FusedCandidate& candidate = fused[it->second];
      LegContribution& contribution = candidate.legs[leg];
      if (contribution.rank != 0) continue;  // a leg names each id once
      contribution.rank = rank;
      contribution.scored = true;
      contribution.score = hit.score;
      contribution.term = term_of(leg, rank, hit.score);
      candidate.score += contribution.term;
    }
  }
  for (size_t leg = 0; leg < lists.size(); ++leg) {
    for (const RankedHit& hit : lists[leg].others) {
      const auto it = position.find(hit.id);
      if (it == position.end()) continue;
      FusedCandidate& candidate = fused[it->second];
      LegContribution& contribution = candidate.legs[leg];
      if (contribution.scored) continue;
      contribution.scored = true;
      contribution.score = hit.score;
      contribution.term = term_of(leg, 0, hit.score);
      candidate.score += contribution.term;
    }
  }

  // Candidates stand in the order "first list by rank, then what only the
  // second found by rank, ...": a stable sort resolves ties as promised.
  std::stable_sort(fused.begin(), fused.end(),
                   [](const FusedCandidate& a, const FusedCandidate& b) {
                     return a.score > b.score;
                   });
  if (fused.size() > limit) fused.resize(limit);
  return fused;
}

}  // namespace braid::fusion
