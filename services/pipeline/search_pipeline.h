// The life of a query up to the passages: both legs, fusion, rerank, merge.
#ifndef BRAID_SERVICES_PIPELINE_SEARCH_PIPELINE_H_
#define BRAID_SERVICES_PIPELINE_SEARCH_PIPELINE_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fusion/ranked_list.h"
#include "fusion/reranker.h"
#include "retrieval/backend.h"

namespace braid::services {

struct StageTime {
  // filter, embed, bm25, dense, complete, fuse, hop, fetch, merge, rerank,
  // plan, generate
  std::string stage;
  absl::Duration start;  // since the request began
  absl::Duration elapsed;
};

enum class FusionMethod { kRelativeScore, kRrf };

struct PipelineQuery {
  retrieval::Query query;
  size_t top_k = 10;
  FusionMethod fusion = FusionMethod::kRelativeScore;
  uint32_t rrf_k = 60;  // of kRrf
  double bm25_weight = 1.0;
  double dense_weight = 1.0;
  // Look up what the best passages name, and rank it higher (second_hop.h).
  bool multi_hop = false;
  // Passages that say the same become one. Off for evaluation, which judges
  // every chunk by itself.
  bool merge_near_duplicates = true;
  // Of one document at most so many while there are candidates of others; 0: no
  // such share. Where others are too few, the best of the rest fill the places.
  size_t max_per_document = 0;
  // Passages that a reranker looks at, of the fused order's first; 0: none.
  size_t rerank_depth = 16;
  // Texts of the passages together; those past it are left out and `fetch` is
  // named in `degraded`.
  size_t max_passage_bytes = 24 << 20;
  // When the request began, for the starts of the stages; unset for now.
  std::optional<std::chrono::steady_clock::time_point> begin;
  // Told of each stage as it ends, in the caller's thread; may be empty.
  std::function<void(const StageTime&)> on_stage;
};

// One result. Leg 0 is BM25, leg 1 dense, leg 2 (where there is one) what the
// best passages name.
struct FoundPassage {
  retrieval::Passage passage;
  fusion::FusedCandidate fused;
  uint32_t fused_rank = 0;  // from 1
  std::optional<float> rerank_logit;
  std::vector<retrieval::ChunkId> merged;  // near-duplicates merged into this
  // What it is ordered by: the fused score, or where a reranker ran the
  // probability that the passage answers.
  double score = 0;
};

struct PipelineResult {
  std::vector<FoundPassage> passages;  // best first, at most top_k
  retrieval::Sequence sequence = 0;    // that the search saw
  // Of that sequence; null where the search ran in another process.
  std::shared_ptr<const retrieval::ReadView> view;
  std::vector<StageTime> stages;
  std::vector<std::string> degraded;  // legs or stages that failed or were late
};

// Runs backend, fusion, near-duplicate merging and (when there is one) the
// reranker. A reranker that fails or has no time left is skipped and named in
// `degraded`, so is a leg that failed beside one that did not. Errors as
// RetrievalBackend::Search. Blocks; stops within a step of the query's stop
// token or deadline.
absl::StatusOr<PipelineResult> RunSearch(retrieval::RetrievalBackend& backend,
                                         const fusion::Reranker* reranker,
                                         const PipelineQuery& query);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_SEARCH_PIPELINE_H_
