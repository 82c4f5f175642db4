// Whatever a file says it is, it is a result whose parts fit together and which
// reads back as it was when it is written again, or a clear error.
#include <cstdint>
#include <cstdlib>

#include "services/eval/comparison.h"
#include "services/eval/result_file.h"
#include "tests/fuzz/fuzz_directory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using braid::services::EvalResult;
  static const braid::model::FuzzDirectory directory;
  const std::string path = directory.Write("result.json", data, size);
  const absl::StatusOr<EvalResult> result = braid::services::ReadResult(path);
  if (!result.ok()) {
    if (result.status().message().find(path) != 0) std::abort();
    return 0;
  }
  for (const braid::services::ResultRun& run : result->runs) {
    if (run.scores.size() != result->queries.size()) std::abort();
  }
  if (!result->queries.empty() &&
      FindRun(*result, result->final_run) == nullptr) {
    std::abort();
  }
  const auto report = braid::services::Json::object();
  if (!WriteResult(*result, report, path).ok()) std::abort();
  const absl::StatusOr<EvalResult> again = braid::services::ReadResult(path);
  if (!again.ok() || again->runs.size() != result->runs.size() ||
      again->rows != result->rows) {
    std::abort();
  }
  const bool same = CheckSameSet(*result, *again, path).ok();
  if (same == result->queries.empty()) std::abort();
  return 0;
}
