// The life of a query up to the passages: both legs, fusion, rerank, merge.
#ifndef BRAID_SERVICES_PIPELINE_SEARCH_PIPELINE_H_
#define BRAID_SERVICES_PIPELINE_SEARCH_PIPELINE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fusion/reranker.h"
#include "fusion/rrf.h"
#include "retrieval/backend.h"

namespace braid::services {

struct PipelineQuery {
  retrieval::Query query;
  size_t top_k = 10;
  uint32_t rrf_k = 60;
  double bm25_weight = 1.0;
  double dense_weight = 1.0;
};

struct StageTime {
  std::string stage;     // filter, embed, bm25, dense, fuse, fetch, rerank, ...
  absl::Duration start;  // since the request began
  absl::Duration elapsed;
};

// One result. Leg 0 is BM25, leg 1 dense.
struct FoundPassage {
  retrieval::Passage passage;
  fusion::FusedCandidate fused;
  uint32_t fused_rank = 0;  // from 1
  std::optional<float> rerank_logit;
  std::vector<retrieval::ChunkId> merged;  // near-duplicates merged into this
  double score = 0;                        // what it is ordered by
};

struct PipelineResult {
  std::vector<FoundPassage> passages;  // best first, at most top_k
  std::shared_ptr<const retrieval::ReadView> view;
  std::vector<StageTime> stages;
  std::vector<std::string> degraded;  // legs or stages that failed or were late
};

// Runs backend, fusion, near-duplicate merging and (when there is one) the
// reranker. Errors as RetrievalBackend::Search.
absl::StatusOr<PipelineResult> RunSearch(retrieval::RetrievalBackend& backend,
                                         const fusion::Reranker* reranker,
                                         const PipelineQuery& query);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_SEARCH_PIPELINE_H_
