// The engines under the search, called alone: what Braid's own overhead is
// measured against.
#ifndef BRAID_SERVICES_BENCH_SEARCH_FLOORS_H_
#define BRAID_SERVICES_BENCH_SEARCH_FLOORS_H_

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/eval/index_corpus.h"
#include "services/eval/json.h"
#include "services/runtime.h"

namespace braid::services {

// Percentiles in ms of each engine on `queries`, one thread, `limit` hits:
// `tantivy` (a fresh one-commit index of the collection's chunks, through
// LexicalSnapshot::Search alone), `faiss_flat` (IndexFlatIP) and `faiss_hnsw`
// (IndexHNSWFlat, M 32, efSearch 128) on the stored vectors with questions
// embedded beforehand, and `embed` (the encoder on one question).
absl::StatusOr<Json> MeasureSearchFloors(
    Runtime& runtime, const std::string& collection,
    const std::vector<std::string>& queries, size_t limit,
    const ProgressSink& progress, std::stop_token stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_SEARCH_FLOORS_H_
