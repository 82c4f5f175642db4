// A piece of work inside a trace.
#ifndef BRAID_SERVICES_TELEMETRY_SPAN_H_
#define BRAID_SERVICES_TELEMETRY_SPAN_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "services/telemetry/trace_context.h"

namespace braid::services::telemetry {

// Names and attribute values are of the service, never a client's: what a
// client asked, and what it got, is not for the trace. Only ids and the state
// come from outside.
struct Span {
  enum class Kind { kInternal, kServer };

  TraceContext context;
  SpanId parent;  // zero: the root of its trace
  std::string name;
  Kind kind = Kind::kInternal;
  absl::Time start;
  absl::Time end;
  std::vector<std::pair<std::string, std::variant<std::string, int64_t>>>
      attributes;
  bool error = false;
};

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_SPAN_H_
