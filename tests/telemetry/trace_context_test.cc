#include "services/telemetry/trace_context.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "services/telemetry/tracer.h"

namespace braid::services::telemetry {
namespace {

// The example of the specification.
constexpr char kExample[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, ReadsAndWritesTheExampleOfTheSpecification) {
  const auto context = ParseTraceparent(kExample);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(ToHex(context->trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(ToHex(context->span_id), "00f067aa0ba902b7");
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(FormatTraceparent(*context), kExample);
}

TEST(TraceContext, FlagsAndLaterVersions) {
  const std::string ids = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";
  EXPECT_FALSE(ParseTraceparent("00" + ids + "00")->sampled);
  EXPECT_FALSE(ParseTraceparent("00" + ids + "fe")->sampled);
  EXPECT_TRUE(ParseTraceparent("00" + ids + "ff")->sampled);
  EXPECT_TRUE(ParseTraceparent("cc" + ids + "01")->sampled);
  EXPECT_TRUE(ParseTraceparent("cc" + ids + "01-what-comes-later")->sampled);
}

TEST(TraceContext, RefusesWhatIsMalformed) {
  const std::string good = kExample;
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(ParseTraceparent(good.substr(0, i)).has_value()) << i;
    for (const char c : {'g', 'A', ' ', '\0', '\xff'}) {
      std::string bad = good;
      bad[i] = c;
      EXPECT_FALSE(ParseTraceparent(bad).has_value()) << bad;
    }
  }
  for (const char* bad :
       {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // What a header that came twice looks like.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,"
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    EXPECT_FALSE(ParseTraceparent(bad).has_value()) << bad;
  }
}

TEST(TraceContext, Tracestate) {
  for (const char* good :
       {"rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=b , c=d,", "fw529a3039@dt=FfC:8", "1tenant@sys=x y", "a_-*/0=!~"}) {
    EXPECT_TRUE(IsTracestate(good)) << good;
  }
  std::string many = "k0=v";
  for (int i = 1; i < 32; ++i) many += ",k" + std::to_string(i) + "=v";
  EXPECT_TRUE(IsTracestate(many));
  for (const std::string& bad :
       {std::string(), std::string(","), std::string("a"), std::string("=b"),
        std::string("a="), std::string("A=b"), std::string("1a=b"),
        std::string("a=b=c"), std::string("a=b\x7f"), std::string("a=b\n"),
        std::string("a=b\xc3\xa9"), std::string("@s=b"), std::string("t@=b"),
        std::string("t@1=b"), std::string("a@b@c=d"), many + ",k32=v",
        "a=" + std::string(257, 'b'), "a=" + std::string(511, 'b'),
        std::string(257, 'a') + "=b"}) {
    EXPECT_FALSE(IsTracestate(bad)) << bad;
  }
}

TEST(TraceContext, NewIdsDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    ids.insert(ToHex(NewTraceId()));
    ids.insert(ToHex(NewSpanId()));
  }
  EXPECT_EQ(ids.size(), 2000u);
}

std::unique_ptr<SpanExporter> Nowhere() {
  return std::make_unique<SpanExporter>(
      SpanExporterOptions(),
      [](absl::Span<const Span>, const std::function<bool()>&) {
        return absl::OkStatus();
      });
}

TEST(Tracer, OffItPassesTheTraceOnAndRecordsNothing) {
  const Tracer tracer;
  EXPECT_FALSE(tracer.Begin("", "").has_value());
  EXPECT_FALSE(tracer.Begin("nonsense", "").has_value());
  const auto trace = tracer.Begin(kExample, "a=b");
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(ToHex(trace->context.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_FALSE(trace->context.sampled);
}

TEST(Tracer, FollowsTheCallerWhateverTheRatio) {
  std::string unsampled = kExample;
  unsampled.back() = '0';
  for (const double ratio : {0.0, 1.0}) {
    Tracer tracer;
    tracer.Start(ratio, Nowhere());
    const auto trace = tracer.Begin(kExample, "a=b");
    EXPECT_TRUE(trace->context.sampled);
    EXPECT_EQ(trace->context.state, "a=b");
    EXPECT_EQ(ToHex(trace->parent), "00f067aa0ba902b7");
    EXPECT_NE(trace->context.span_id, trace->parent);
    EXPECT_FALSE(tracer.Begin(unsampled, "")->context.sampled);
    // A bad state costs the state alone.
    EXPECT_EQ(tracer.Begin(kExample, "BAD")->context.state, "");
  }
}

TEST(Tracer, SamplesFreshTracesAtTheRatio) {
  for (const double ratio : {0.0, 0.25, 1.0}) {
    Tracer tracer;
    tracer.Start(ratio, Nowhere());
    int sampled = 0;
    for (int i = 0; i < 4000; ++i) {
      const auto trace = tracer.Begin(i % 2 == 0 ? "" : "malformed", "a=b");
      ASSERT_TRUE(trace.has_value());
      EXPECT_TRUE(trace->parent.IsZero());
      EXPECT_FALSE(trace->context.trace_id.IsZero());
      EXPECT_EQ(trace->context.state, "");
      sampled += trace->context.sampled ? 1 : 0;
    }
    // Ten standard deviations of the middle one.
    EXPECT_NEAR(sampled, 4000 * ratio, ratio == 0.25 ? 275 : 0) << ratio;
  }
}

}  // namespace
}  // namespace braid::services::telemetry
