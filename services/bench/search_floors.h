// The engines under the search, called alone: what Braid's own overhead is
// measured against.
#ifndef BRAID_SERVICES_BENCH_SEARCH_FLOORS_H_
#define BRAID_SERVICES_BENCH_SEARCH_FLOORS_H_

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/eval/index_corpus.h"
#include "services/runtime.h"

namespace braid::services {

enum class RawEngine {
  kEmbed,      // the runtime's encoder on one question
  kTantivy,    // a one-commit index of the collection's chunks
  kFaissFlat,  // IndexFlatIP over the stored vectors
  kFaissHnsw,  // IndexHNSWFlat, M 32, efConstruction 100, efSearch 128
};
inline constexpr RawEngine kRawEngines[] = {
    RawEngine::kEmbed, RawEngine::kTantivy, RawEngine::kFaissFlat,
    RawEngine::kFaissHnsw};

// As in the report: "embed", "tantivy", "faiss_flat", "faiss_hnsw".
const char* NameOf(RawEngine engine);

// What a collection holds, in engines of their own. One caller at a time.
class SearchFloors {
 public:
  virtual ~SearchFloors() = default;

  // `limit` hits for query `index`; the dense ones have it embedded beforehand.
  virtual absl::Status Run(RawEngine engine, size_t index) = 0;
};

// Copies the collection and embeds the queries. `runtime` must outlive it.
absl::StatusOr<std::unique_ptr<SearchFloors>> BuildSearchFloors(
    Runtime& runtime, const std::string& collection,
    std::vector<std::string> queries, size_t limit,
    const ProgressSink& progress, std::stop_token stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_SEARCH_FLOORS_H_
