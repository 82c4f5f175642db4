// W3C Trace Context (https://www.w3.org/TR/trace-context/), level 1: which
// trace a call belongs to, as it travels in `traceparent` and `tracestate`.
#ifndef BRAID_SERVICES_TELEMETRY_TRACE_CONTEXT_H_
#define BRAID_SERVICES_TELEMETRY_TRACE_CONTEXT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace braid::services::telemetry {

// An id; all zeros is none.
template <size_t N>
struct TraceBytes {
  std::array<uint8_t, N> bytes = {};

  bool IsZero() const { return *this == TraceBytes(); }
  bool operator==(const TraceBytes&) const = default;
};
using TraceId = TraceBytes<16>;
using SpanId = TraceBytes<8>;

// In lower case.
std::string ToHex(const TraceId& id);
std::string ToHex(const SpanId& id);

// A span, and the trace it is part of.
struct TraceContext {
  TraceId trace_id;
  SpanId span_id;
  bool sampled = false;
  std::string state;  // `tracestate`; may be empty
};

// Nothing if it is not well-formed. Headers of later versions are read as far
// as this one goes.
std::optional<TraceContext> ParseTraceparent(absl::string_view header);
std::string FormatTraceparent(const TraceContext& context);

// A list of at most 32 `key=value` members, 512 bytes together, as the
// specification has them.
bool IsTracestate(absl::string_view header);

// At random, not zero. Thread-safe.
TraceId NewTraceId();
SpanId NewSpanId();

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_TRACE_CONTEXT_H_
