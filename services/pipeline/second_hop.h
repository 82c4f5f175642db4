// The second pass of a multi-hop question.
#ifndef BRAID_SERVICES_PIPELINE_SECOND_HOP_H_
#define BRAID_SERVICES_PIPELINE_SECOND_HOP_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "fusion/ranked_list.h"
#include "retrieval/backend.h"

namespace braid::services {

// So many of the best passages are read for names.
inline constexpr size_t kHopPassages = 3;
// What a passage gains by its title standing in one of those, as a share of the
// fused score of the one that names it: what leads on from a poor answer is not
// worth more than that answer.
inline constexpr double kNamedShare = 0.8 / 3;

// The chunks whose titles the passages `best` (best first) name and the
// question does not, in the view and under the filter of `first`: a kBonus
// list, in the order of the passages, and of one passage by how well the title
// fits.
absl::StatusOr<fusion::RankedList> FindNamed(
    const retrieval::SearchResult& first, const std::string& question,
    absl::Span<const fusion::FusedCandidate> best);

// Adds to the legs of `result` their scores for `chunks`. Legs that did not
// run, or failed, are left alone.
absl::Status ScoreNamed(const std::string& question,
                        absl::Span<const retrieval::ChunkId> chunks,
                        retrieval::SearchResult* result);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_SECOND_HOP_H_
