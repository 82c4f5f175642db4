// Whatever a caller sends as `traceparent`, what is taken of it is a context
// that is written as it was read.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "services/telemetry/trace_context.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using braid::services::telemetry::ParseTraceparent;
  using braid::services::telemetry::TraceContext;
  const absl::string_view header(reinterpret_cast<const char*>(data), size);
  if (const auto context = ParseTraceparent(header); context.has_value()) {
    const std::string written = FormatTraceparent(*context);
    const auto again = ParseTraceparent(written);
    // All but the version and the flags that are not known here.
    if (written.substr(2, 51) != header.substr(2, 51) || !again.has_value() ||
        again->sampled != context->sampled || context->trace_id.IsZero() ||
        context->span_id.IsZero()) {
      std::abort();
    }
  }
  if (braid::services::telemetry::IsTracestate(header)) {
    if (header.size() > 512) std::abort();
    for (const char c : header) {
      if (c != '\t' && (c < ' ' || c > '~')) std::abort();
    }
  }
  return 0;
}
