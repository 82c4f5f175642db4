// The seam of the reranker.
#ifndef BRAID_FUSION_RERANKER_H_
#define BRAID_FUSION_RERANKER_H_

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "fusion/rerank/calibration.h"

namespace braid::fusion {

struct RerankInput {
  absl::string_view title;
  absl::string_view text;
};

// Scores passages against a query. Thread-safe.
class Reranker {
 public:
  virtual ~Reranker() = default;
  virtual const std::string& name() const = 0;
  // What its logits mean.
  virtual const RerankCalibration& calibration() const = 0;
  // One logit per input, in order; higher is better. May stop early at the
  // deadline: then fewer logits come back, for the first inputs.
  virtual absl::StatusOr<std::vector<float>> Score(
      absl::string_view query, absl::Span<const RerankInput> inputs,
      std::chrono::steady_clock::time_point deadline,
      std::stop_token stop) const = 0;
};

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RERANKER_H_
