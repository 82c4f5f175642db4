// One search over one view.
#ifndef BRAID_RETRIEVAL_LOCAL_SEARCH_H_
#define BRAID_RETRIEVAL_LOCAL_SEARCH_H_

#include <chrono>
#include <memory>

#include "absl/status/statusor.h"
#include "retrieval/backend.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/local/access_cache.h"
#include "retrieval/local/collection_view.h"
#include "retrieval/local/filter_cache.h"
#include "retrieval/local/search_pool.h"

namespace braid::retrieval {

// Resolves the filter and what the viewer may see, hands BM25 to `pool`, and
// embeds the question and runs the dense leg on the calling thread. `begin` is
// when the search began; `access` is null if the viewer may see everything.
// Errors as RetrievalBackend::Search.
absl::StatusOr<SearchResult> SearchView(
    const Query& query, std::shared_ptr<const CollectionView> view,
    const Encoder& encoder, std::chrono::steady_clock::time_point begin,
    FilterCache* filters, AccessCache* access, SearchPool* pool);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_SEARCH_H_
