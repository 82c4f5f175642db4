#include "fusion/rrf.h"

#include "fusion/sum_terms.h"

namespace braid::fusion {

std::vector<FusedCandidate> ReciprocalRankFusion(
    absl::Span<const RankedList> lists, const RrfOptions& options) {
  return SumTerms(
      lists,
      [&](size_t leg, uint32_t rank, double) {
        if (rank == 0) return 0.0;
        return lists[leg].weight / (static_cast<double>(options.rrf_k) + rank);
      },
      options.limit);
}

}  // namespace braid::fusion
