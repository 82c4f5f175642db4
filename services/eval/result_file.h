// Results on disk: JSON that a later evaluation is compared with, CSV for other
// programs.
#ifndef BRAID_SERVICES_EVAL_RESULT_FILE_H_
#define BRAID_SERVICES_EVAL_RESULT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/eval/json.h"
#include "services/eval/result.h"

namespace braid::services {

// Largest result that is read: some 50,000 queries.
inline constexpr uint64_t kMaxResultBytes = 64 << 20;

// CheckOutputPath for a result: .json or .csv.
absl::Status CheckResultPath(const std::string& path);

// By the name's end:
//   .json  `report`, which is an object, and for each judged query id, type,
//          text, and every run's metrics and rank of the first relevant
//          document (0 for none)
//   .csv   a line for each judged query and run: the same without the text
// A file that is there is replaced once the new one is whole.
absl::Status WriteResult(const EvalResult& result, const Json& report,
                         const std::string& path);

// Reads what WriteResult wrote as .json. INVALID_ARGUMENT or another status
// naming file and field: the file may be anything.
absl::StatusOr<EvalResult> ReadResult(const std::string& path);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_RESULT_FILE_H_
