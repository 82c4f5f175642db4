// Two evaluations of the same set: what changed, and whether by chance.
#ifndef BRAID_SERVICES_EVAL_COMPARISON_H_
#define BRAID_SERVICES_EVAL_COMPARISON_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/eval/json.h"
#include "services/eval/result.h"
#include "services/eval/significance.h"

namespace braid::services {

// A query whose nDCG@10 changed.
struct ChangedQuery {
  const ResultQuery* query = nullptr;  // of `after`
  QueryScores before;
  QueryScores after;
};

struct RunComparison {
  std::string before;  // names of the runs
  std::string after;
  // Parallel to MetricFields(): means before and after, and the difference.
  std::vector<double> before_means;
  std::vector<double> after_means;
  std::vector<PairedDifference> differences;
};

struct Comparison {
  // Every run that both have, in the order of `after`.
  std::vector<RunComparison> runs;
  // What a search returned then and returns now. The runs may have different
  // names: `fused` before, `reranked` after.
  RunComparison final_run;
  // Of the final run: at most kMaxChangedQueries, the largest change first.
  std::vector<ChangedQuery> improved;
  std::vector<ChangedQuery> worsened;
};

inline constexpr size_t kMaxChangedQueries = 10;

// INVALID_ARGUMENT naming `path`, the file that `before` was read from, and the
// field in which the two are not of the same set: the queries, their texts, the
// judgements, the rows of the corpus; also if there is no judged query.
absl::Status CheckSameSet(const EvalResult& before, const EvalResult& after,
                          const std::string& path);

// Both results must outlive the comparison. Errors as CheckSameSet.
absl::StatusOr<Comparison> Compare(const EvalResult& before,
                                   const EvalResult& after,
                                   const std::string& path);

// FAILED_PRECONDITION with one line if nDCG@10 of the final run fell by more
// than `max_drop`, or by less but significantly.
absl::Status CheckRegression(const Comparison& comparison, double max_drop);

// runs.RUN.METRIC and final.METRIC: {before, after, delta, low, high, p,
// better, worse}; improved and worsened: [{query, text, type, before, after,
// first_relevant_before, first_relevant_after}].
Json ToJson(const Comparison& comparison);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_COMPARISON_H_
