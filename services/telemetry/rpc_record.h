// What telemetry keeps of one call: its metrics and its spans.
#ifndef BRAID_SERVICES_TELEMETRY_RPC_RECORD_H_
#define BRAID_SERVICES_TELEMETRY_RPC_RECORD_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/telemetry/metrics.h"
#include "services/telemetry/span.h"
#include "services/telemetry/tracer.h"

namespace braid::services::telemetry {

// The two clocks at once: durations come from the steady one, which never
// jumps, and are laid onto the wall clock's time of the beginning.
struct Moment {
  using Steady = std::chrono::steady_clock;

  absl::Time wall;
  Steady::time_point steady;
};

// Used by one thread at a time.
class RpcRecord {
 public:
  // The call begins. `rpc` as `RetrievalService/Search`; it, `metrics` and
  // `tracer` must outlive the record. The headers are the caller's, empty where
  // there were none.
  RpcRecord(Metrics* metrics, const Tracer* tracer, absl::string_view rpc,
            absl::string_view traceparent, absl::string_view tracestate,
            const Moment& begin);

  // Empty where the call has no trace.
  std::string TraceIdHex() const;
  // Of the call's own span, for the caller. Empty where it has no trace.
  std::string Traceparent() const;

  // A stage of a pipeline that began at `pipeline_begin`.
  void AddStage(absl::string_view stage,
                Moment::Steady::time_point pipeline_begin, absl::Duration start,
                absl::Duration elapsed);

  // The call ends: counts it, and exports its spans if it is sampled. Called
  // once.
  void End(absl::StatusCode code, Moment::Steady::time_point now);

 private:
  absl::Time WallTime(Moment::Steady::time_point steady) const;
  // The call's own span.
  Span CallSpan(absl::StatusCode code, Moment::Steady::time_point now) const;

  Metrics* const metrics_;
  const Tracer* const tracer_;
  const absl::string_view rpc_;
  Metrics::Rpc* const series_;
  const Moment begin_;
  const std::optional<Tracer::CallTrace> trace_;
  std::vector<Span> stages_;  // if it is sampled
};

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_RPC_RECORD_H_
