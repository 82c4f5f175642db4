#include "services/telemetry/tracer.h"

#include <cmath>
#include <cstdint>

namespace braid::services::telemetry {
namespace {

// As OpenTelemetry's TraceIdRatioBased: a pure function of the last eight bytes
// of the trace id, so that all services of a trace that use the same ratio
// agree.
bool IsSampled(const TraceId& id, double ratio) {
  uint64_t word = 0;
  for (size_t i = 8; i < id.bytes.size(); ++i) word = word << 8 | id.bytes[i];
  return static_cast<double>(word) < std::ldexp(ratio, 64);
}

}  // namespace

void Tracer::Start(double sample_ratio,
                   std::unique_ptr<SpanExporter> exporter) {
  sample_ratio_ = sample_ratio;
  exporter_ = std::move(exporter);
}

std::optional<Tracer::CallTrace> Tracer::Begin(
    absl::string_view traceparent, absl::string_view tracestate) const {
  const std::optional<TraceContext> caller = ParseTraceparent(traceparent);
  if (!caller.has_value() && exporter_ == nullptr) return std::nullopt;
  CallTrace trace;
  trace.context.span_id = NewSpanId();
  if (caller.has_value()) {
    trace.context.trace_id = caller->trace_id;
    trace.parent = caller->span_id;
    trace.context.sampled = caller->sampled;
    if (IsTracestate(tracestate)) {
      trace.context.state = std::string(tracestate);
    }
  } else {
    trace.context.trace_id = NewTraceId();
    trace.context.sampled = IsSampled(trace.context.trace_id, sample_ratio_);
  }
  // Nothing is recorded here, and nobody is to be told that it was.
  if (exporter_ == nullptr) trace.context.sampled = false;
  return trace;
}

}  // namespace braid::services::telemetry
