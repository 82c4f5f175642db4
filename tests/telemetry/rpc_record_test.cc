// One call, on clocks that the test sets.
#include "services/telemetry/rpc_record.h"

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/steady.h"
#include "tests/telemetry/exposition.h"

namespace braid::services::telemetry {
namespace {

using ::testing::Contains;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::VariantWith;

constexpr char kParent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kRpc[] = "RetrievalService/Search";

class RpcRecordTest : public ::testing::Test {
 protected:
  RpcRecordTest() {
    tracer_.Start(
        1.0,
        std::make_unique<SpanExporter>(
            SpanExporterOptions{.max_queued = 100,
                                .interval = absl::ZeroDuration()},
            [this](absl::Span<const Span> spans, const std::function<bool()>&) {
              sent_.insert(sent_.end(), spans.begin(), spans.end());
              return absl::OkStatus();
            }));
  }
  // What was exported; nothing is afterwards.
  std::vector<Span> Sent() {
    tracer_.exporter()->Close(kNever);
    return sent_;
  }
  Moment::Steady::time_point At(int milliseconds) const {
    return begin_.steady + std::chrono::milliseconds(milliseconds);
  }
  RpcRecord Begin(const char* traceparent, const char* tracestate = "") {
    return RpcRecord(&metrics_, &tracer_, kRpc, traceparent, tracestate,
                     begin_);
  }

  const Moment begin_ = {absl::FromUnixSeconds(1'000'000'000),
                         Moment::Steady::time_point(std::chrono::hours(5))};
  Metrics metrics_{std::vector<std::string>{kRpc}};
  Tracer tracer_;
  std::vector<Span> sent_;
};

TEST_F(RpcRecordTest, ACallAndItsStagesAreOneTrace) {
  RpcRecord record = Begin(kParent, "rojo=1");
  EXPECT_EQ(record.TraceIdHex(), "4bf92f3577b34da6a3ce929d0e0e4736");
  // The pipeline began 3 ms after the call.
  record.AddStage("embed", At(3), absl::Milliseconds(1), absl::Milliseconds(4));
  record.AddStage("fuse", At(3), absl::Milliseconds(6), absl::Microseconds(30));
  record.End(absl::StatusCode::kOk, At(12));

  const std::vector<Span> spans = Sent();
  ASSERT_THAT(spans, SizeIs(3));
  const Span& call = spans[2];
  EXPECT_EQ(call.name, "braid.v1.RetrievalService/Search");
  EXPECT_EQ(call.kind, Span::Kind::kServer);
  EXPECT_EQ(ToHex(call.parent), "00f067aa0ba902b7");
  EXPECT_EQ(call.start, begin_.wall);
  EXPECT_EQ(call.end, begin_.wall + absl::Milliseconds(12));
  EXPECT_FALSE(call.error);
  EXPECT_THAT(call.attributes, SizeIs(4));
  EXPECT_THAT(call.attributes,
              Contains(Pair("rpc.system", VariantWith<std::string>("grpc"))));
  EXPECT_THAT(call.attributes,
              Contains(Pair("rpc.service", VariantWith<std::string>(
                                               "braid.v1.RetrievalService"))));
  EXPECT_THAT(call.attributes,
              Contains(Pair("rpc.method", VariantWith<std::string>("Search"))));
  EXPECT_THAT(call.attributes,
              Contains(Pair("rpc.grpc.status_code", VariantWith<int64_t>(0))));
  EXPECT_EQ(record.Traceparent(), FormatTraceparent(call.context));
  for (const Span& span : spans) {
    EXPECT_EQ(ToHex(span.context.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(span.context.state, "rojo=1");
  }
  EXPECT_EQ(spans[0].name, "embed");
  EXPECT_EQ(spans[0].kind, Span::Kind::kInternal);
  EXPECT_EQ(spans[0].parent, call.context.span_id);
  EXPECT_EQ(spans[0].start, begin_.wall + absl::Milliseconds(4));
  EXPECT_EQ(spans[0].end, begin_.wall + absl::Milliseconds(8));
  EXPECT_EQ(spans[1].name, "fuse");
  EXPECT_EQ(spans[1].end - spans[1].start, absl::Microseconds(30));
  EXPECT_NE(spans[0].context.span_id, spans[1].context.span_id);
}

TEST_F(RpcRecordTest, MetricsAreOfAllCallsSampledOrNot) {
  std::string unsampled = kParent;
  unsampled.back() = '0';
  RpcRecord record = Begin(unsampled.c_str());
  record.AddStage("fuse", At(0), absl::ZeroDuration(), absl::Milliseconds(2));
  record.End(absl::StatusCode::kNotFound, At(40));
  EXPECT_THAT(Sent(), SizeIs(0));
  const auto samples = ParseExposition(metrics_.Serialize({}))->samples;
  EXPECT_EQ(samples.at("braid_rpc_requests_total{code=\"NOT_FOUND\",rpc=\""
                       "RetrievalService/Search\"}"),
            1);
  EXPECT_DOUBLE_EQ(
      samples.at("braid_rpc_duration_seconds_sum{rpc=\"RetrievalService/"
                 "Search\"}"),
      .04);
  EXPECT_DOUBLE_EQ(
      samples.at("braid_stage_duration_seconds_sum{stage=\"fuse\"}"), .002);
}

// OpenTelemetry's semantic conventions for gRPC: what the server is to blame
// for is an error of its span, the rest is not.
TEST_F(RpcRecordTest, OnlyTheServersErrorsAreErrors) {
  for (int code = 0; code <= 16; ++code) {
    Begin("").End(static_cast<absl::StatusCode>(code), At(1));
  }
  std::vector<int64_t> errors;
  for (const Span& span : Sent()) {
    EXPECT_TRUE(span.parent.IsZero());
    if (span.error) {
      errors.push_back(std::get<int64_t>(span.attributes.back().second));
    }
  }
  EXPECT_THAT(errors, ::testing::ElementsAre(2, 4, 12, 13, 14, 15));
}

}  // namespace
}  // namespace braid::services::telemetry
