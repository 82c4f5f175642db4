// What the fusions share: each hit brings a term, terms add up.
#ifndef BRAID_FUSION_SUM_TERMS_H_
#define BRAID_FUSION_SUM_TERMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "fusion/ranked_list.h"

namespace braid::fusion {

// The term of hit `rank` (from 1; 0 for one of the list's `others`) of list
// `leg`.
using TermOf =
    absl::FunctionRef<double(size_t leg, uint32_t rank, double score)>;

// At most `limit` candidates, by the sum of their terms.
std::vector<FusedCandidate> SumTerms(absl::Span<const RankedList> lists,
                                     TermOf term_of, size_t limit);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_SUM_TERMS_H_
