// Small chunks are found, larger passages are read.
#ifndef BRAID_SERVICES_PIPELINE_PARENTS_H_
#define BRAID_SERVICES_PIPELINE_PARENTS_H_

#include <cstdint>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/backend.h"
#include "retrieval/types.h"

namespace braid::services {

// A chunk that was found, with the neighbours that are read with it.
struct Parent {
  retrieval::ByteRange text_range;  // from the first one's begin to the last
                                    // one's end
  uint32_t token_count = 0;         // sum over its chunks
  std::vector<retrieval::Chunk> chunks;  // in document order
};

// Widens `child` by its neighbours in the document, in turns after and before
// it, while all of them together have at most `max_tokens` tokens. It stays in
// the section: a neighbour whose outermost heading is another one ends its
// side, as does one that is `taken`: parents do not overlap. Errors are the
// view's.
absl::StatusOr<Parent> WidenToParent(const retrieval::ReadView& view,
                                     const retrieval::Chunk& child,
                                     uint32_t max_tokens,
                                     const std::set<retrieval::ChunkId>& taken);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_PARENTS_H_
