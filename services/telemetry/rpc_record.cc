#include "services/telemetry/rpc_record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace braid::services::telemetry {
namespace {

constexpr absl::string_view kPackage = "braid.v1.";

// What OpenTelemetry's semantic conventions for gRPC count as the server's
// error; the others are the client's.
bool IsServerError(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

RpcRecord::RpcRecord(Metrics* metrics, const Tracer* tracer,
                     absl::string_view rpc, absl::string_view traceparent,
                     absl::string_view tracestate, const Moment& begin)
    : metrics_(metrics),
      tracer_(tracer),
      rpc_(rpc),
      series_(metrics->FindRpc(rpc)),
      begin_(begin),
      trace_(tracer->Begin(traceparent, tracestate)) {
  Metrics::BeginCall(series_);
}

std::string RpcRecord::TraceIdHex() const {
  return trace_.has_value() ? ToHex(trace_->context.trace_id) : "";
}

std::string RpcRecord::Traceparent() const {
  return trace_.has_value() ? FormatTraceparent(trace_->context) : "";
}

absl::Time RpcRecord::WallTime(Moment::Steady::time_point steady) const {
  return begin_.wall + absl::FromChrono(steady - begin_.steady);
}

void RpcRecord::AddStage(absl::string_view stage,
                         Moment::Steady::time_point pipeline_begin,
                         absl::Duration start, absl::Duration elapsed) {
  metrics_->RecordStage(stage, elapsed);
  if (!trace_.has_value() || !trace_->context.sampled) return;
  Span& span = stages_.emplace_back();
  span.context = trace_->context;
  span.context.span_id = NewSpanId();
  span.parent = trace_->context.span_id;
  span.name = std::string(stage);
  span.start = WallTime(pipeline_begin) + start;
  span.end = span.start + elapsed;
}

Span RpcRecord::CallSpan(absl::StatusCode code,
                         Moment::Steady::time_point now) const {
  const std::pair<absl::string_view, absl::string_view> names =
      absl::StrSplit(rpc_, absl::MaxSplits('/', 1));
  Span span;
  span.context = trace_->context;
  span.parent = trace_->parent;
  span.name = absl::StrCat(kPackage, rpc_);
  span.kind = Span::Kind::kServer;
  span.start = begin_.wall;
  span.end = WallTime(now);
  span.attributes = {{"rpc.system", "grpc"},
                     {"rpc.service", absl::StrCat(kPackage, names.first)},
                     {"rpc.method", std::string(names.second)},
                     {"rpc.grpc.status_code", static_cast<int64_t>(code)}};
  span.error = IsServerError(code);
  return span;
}

void RpcRecord::End(absl::StatusCode code, Moment::Steady::time_point now) {
  metrics_->EndCall(series_, code, absl::FromChrono(now - begin_.steady));
  if (!trace_.has_value() || !trace_->context.sampled) return;
  std::vector<Span> spans = std::move(stages_);
  spans.push_back(CallSpan(code, now));
  tracer_->Export(std::move(spans));
}

}  // namespace braid::services::telemetry
