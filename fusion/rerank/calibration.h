// From a cross-encoder's logit to the probability that a passage answers.
//
// Platt, "Probabilistic Outputs for Support Vector Machines" (1999), with the
// fused score as a second feature: a logistic regression on both,
//
//   p = 1 / (1 + exp(-(scale * logit + fused_weight * fused + bias)))
//
// whose three numbers come with the model. So p depends on the passage and the
// question alone, but for the fused score, whose BM25 half is relative to the
// best of the question's list (fusion/relative_score.h).
#ifndef BRAID_FUSION_RERANK_CALIBRATION_H_
#define BRAID_FUSION_RERANK_CALIBRATION_H_

#include <string>

#include "absl/status/statusor.h"

namespace braid::fusion {

struct RerankCalibration {
  double scale = 1;  // positive
  double fused_weight = 0;
  double bias = 0;
};

// Probability between 0 and 1, rising with `logit`.
double RelevanceOf(const RerankCalibration& calibration, double logit,
                   double fused_score);

// Reads `directory`/calibration.json: an object of the three numbers by name.
// Without such a file, the defaults: the logit alone. INVALID_ARGUMENT naming
// file and field.
absl::StatusOr<RerankCalibration> ReadCalibration(const std::string& directory);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RERANK_CALIBRATION_H_
