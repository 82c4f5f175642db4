// `braid eval`: how good the search is on a judged set.
#ifndef BRAID_SERVICES_EVAL_EVAL_H_
#define BRAID_SERVICES_EVAL_EVAL_H_

#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/config/config.h"
#include "services/eval/eval_options.h"
#include "services/eval/index_corpus.h"
#include "services/eval/json.h"

namespace braid::services {

struct EvalOutcome {
  Json report;
  // With EvalOptions::max_drop: CheckRegression's. Files are written and the
  // report is whole in either case.
  absl::Status regression;
};

// Indexes the corpus in the data directory of `config` (a temporary one if it
// is empty; rows that are there unchanged are skipped) and runs the judged
// queries through the search pipeline. The report's `runs` holds bm25, dense,
// rrf (k 60, equal weights), fused (the service's default) and, with a
// reranker, reranked; `latency_ms` holds percentiles per stage, `answers` what
// AskQuestions returned, `compare` what changed since an earlier evaluation.
// `failed` counts rows that could not be indexed. Names and contents of files
// that are read are checked before anything is indexed.
absl::StatusOr<EvalOutcome> RunEval(Config config, const EvalOptions& options,
                                    const ProgressSink& progress,
                                    std::stop_token stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_EVAL_H_
