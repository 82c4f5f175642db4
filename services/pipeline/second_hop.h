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
// What a passage gains by its title standing in one of those: beside a cosine
// and a scaled BM25 score, of which each is around 0.3 to 0.7. Measured on the
// multi-hop set: 0.5 finds a little more of the evidence, but costs four times
// as much where one passage is enough.
inline constexpr double kNamedScore = 0.3;

// The chunks whose titles the passages `best` name and the question does not,
// in the view and under the filter of `first`; each with kNamedScore, in the
// order of the passages, and of one passage by how well the title fits.
absl::StatusOr<fusion::RankedList> FindNamed(
    const retrieval::SearchResult& first, const std::string& question,
    absl::Span<const retrieval::ChunkId> best);

// Adds to the legs of `result` their scores for `chunks`. Legs that did not
// run, or failed, are left alone.
absl::Status ScoreNamed(const std::string& question,
                        absl::Span<const retrieval::ChunkId> chunks,
                        retrieval::SearchResult* result);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_SECOND_HOP_H_
