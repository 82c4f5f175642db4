// Which segments to rebuild in the background.
#ifndef BRAID_RETRIEVAL_DENSE_MAINTENANCE_H_
#define BRAID_RETRIEVAL_DENSE_MAINTENANCE_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "retrieval/dense/segment.h"

namespace braid::retrieval {

// Segments are merged up to this many vectors: a larger graph answers hardly
// faster than two, and takes minutes to build.
inline constexpr size_t kMaxMergedVectors = size_t{1} << 20;

// A segment that is no longer appended to.
struct SealedState {
  SegmentKind kind = SegmentKind::kFlat;
  size_t rows = 0;
  size_t live = 0;
  bool excluded = false;  // a rebuild of it failed
};

// Positions of the segments to rebuild into one HNSW segment next, or none. In
// this order: a flat segment; a segment with more than a fifth deleted (with
// the other small ones, if it has become small); four segments of about one
// size. Merging four at a time keeps the number of segments logarithmic and
// rebuilds a vector once per level.
std::vector<size_t> PlanRebuild(absl::Span<const SealedState> segments,
                                size_t seal_vectors);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_MAINTENANCE_H_
