// Which calls are traced, and where their spans go.
#ifndef BRAID_SERVICES_TELEMETRY_TRACER_H_
#define BRAID_SERVICES_TELEMETRY_TRACER_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/telemetry/span.h"
#include "services/telemetry/span_exporter.h"
#include "services/telemetry/trace_context.h"

namespace braid::services::telemetry {

// Off until it is started. Thread-safe, but for Start.
class Tracer {
 public:
  // Of a call: its own span, and its caller's (zero: there is none).
  struct CallTrace {
    TraceContext context;
    SpanId parent;
  };

  // Before the first call. Calls that come without a trace are sampled at
  // `sample_ratio`, 0 to 1, by their trace id; those of a trace as their caller
  // says.
  void Start(double sample_ratio, std::unique_ptr<SpanExporter> exporter);

  // The trace of a call that came with these headers, empty where there were
  // none. Nothing if the call has no trace: the caller sent none (or one that
  // is malformed) and the tracer is off.
  std::optional<CallTrace> Begin(absl::string_view traceparent,
                                 absl::string_view tracestate) const;

  // For spans of calls whose context is sampled.
  void Export(std::vector<Span> spans) const {
    exporter_->Add(std::move(spans));
  }

  // Null while it is off.
  SpanExporter* exporter() const { return exporter_.get(); }

 private:
  double sample_ratio_ = 0;
  std::unique_ptr<SpanExporter> exporter_;
};

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_TRACER_H_
