// Spans as an ExportTraceServiceRequest in OTLP's JSON encoding
// (https://opentelemetry.io/docs/specs/otlp/): protobuf's JSON mapping, but ids
// in hexadecimal and enums as numbers.
#ifndef BRAID_SERVICES_TELEMETRY_OTLP_JSON_H_
#define BRAID_SERVICES_TELEMETRY_OTLP_JSON_H_

#include <string>

#include "absl/types/span.h"
#include "services/telemetry/span.h"

namespace braid::services::telemetry {

// Who sends them: `service.name`, `service.version`, `host.name`.
struct Resource {
  std::string service;
  std::string version;
  std::string host;  // may be empty
};

std::string ToOtlpJson(const Resource& resource, absl::Span<const Span> spans);

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_OTLP_JSON_H_
