// A strict reader of Prometheus' text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
#ifndef BRAID_TESTS_TELEMETRY_EXPOSITION_H_
#define BRAID_TESTS_TELEMETRY_EXPOSITION_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace braid::services::telemetry {

struct Exposition {
  // By name and labels, as written: `name{label="value"}`.
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;  // by family
};

// INVALID_ARGUMENT naming the line for: what is not the format, a sample whose
// family has no HELP and TYPE before it, a family that comes twice, a sample
// that comes twice, a counter below zero, a histogram whose buckets fall or
// whose `+Inf` is not its count.
absl::StatusOr<Exposition> ParseExposition(const std::string& text);

}  // namespace braid::services::telemetry

#endif  // BRAID_TESTS_TELEMETRY_EXPOSITION_H_
