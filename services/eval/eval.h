// `braid eval`: how good the search is on a judged set.
#ifndef BRAID_SERVICES_EVAL_EVAL_H_
#define BRAID_SERVICES_EVAL_EVAL_H_

#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "services/config/config.h"
#include "services/eval/index_corpus.h"
#include "services/eval/json.h"

namespace braid::services {

struct EvalOptions {
  std::string dataset;  // directory in the BEIR layout
  std::string queries;  // instead of the directory's own; all of them are run
  std::string qrels;    // instead of the directory's own
  // TREC file of the fused run; the others go to `run_out` + ".bm25", ".dense",
  // ".rrf" (and ".reranked"). Empty for none.
  std::string run_out;
  size_t leg_limit = 100;
  bool multi_hop = false;  // as in PipelineQuery; shows in the fused run
};

// Indexes the corpus in the data directory of `config` (a temporary one if it
// is empty; rows that are there unchanged are skipped) and runs the judged
// queries through the search pipeline. The report's `runs` holds bm25, dense,
// rrf (k 60, equal weights), fused (the service's default) and, with a
// reranker, reranked; `latency_ms` holds percentiles per stage. `failed` counts
// rows that could not be indexed.
absl::StatusOr<Json> RunEval(Config config, const EvalOptions& options,
                             const ProgressSink& progress,
                             std::stop_token stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_EVAL_H_
