// Everything an evaluation reads, checked before anything is indexed: a mistake
// in a file should not cost minutes.
#ifndef BRAID_SERVICES_EVAL_INPUTS_H_
#define BRAID_SERVICES_EVAL_INPUTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/eval/beir.h"
#include "services/eval/eval_options.h"
#include "services/eval/metrics.h"
#include "services/eval/result.h"

namespace braid::services {

struct EvalInputs {
  std::string corpus;                 // file
  std::vector<DatasetQuery> queries;  // that are run
  Qrels qrels;
  std::vector<DatasetQuery> unanswerable;
  // The judged queries of this set, without runs. Rows are counted only with
  // EvalOptions::compare: indexing counts them anyway.
  EvalResult result;
  // Of the same set. With EvalOptions::compare.
  std::optional<EvalResult> earlier;
};

// Errors name the file, and what in it. Names of files to be written are
// checked, too.
absl::StatusOr<EvalInputs> ReadInputs(const EvalOptions& options);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_INPUTS_H_
