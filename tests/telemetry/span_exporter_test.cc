#include "services/telemetry/span_exporter.h"

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/steady.h"

namespace braid::services::telemetry {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Le;

std::vector<Span> Spans(size_t count) { return std::vector<Span>(count); }

// Takes batches, or says why not.
struct Collector {
  SendSpans Send() {
    return [this](absl::Span<const Span> spans,
                  const std::function<bool()>& give_up) -> absl::Status {
      ++attempts;
      asked.Notify();
      while (hang && !give_up()) absl::SleepFor(absl::Milliseconds(1));
      if (hang) return absl::UnavailableError("gave up");
      if (failures-- > 0) return error;
      batches.push_back(spans.size());
      return absl::OkStatus();
    };
  }
  struct Once {
    void Notify() {
      if (!notified.HasBeenNotified()) notified.Notify();
    }
    absl::Notification notified;
  } asked;
  std::atomic<int> attempts = 0;
  std::atomic<bool> hang = false;
  int failures = 0;
  absl::Status error = absl::UnavailableError("not now");
  std::vector<size_t> batches;
};

TEST(SpanExporter, SendsInBatchesAndFlushesAtTheEnd) {
  Collector collector;
  SpanExporter exporter(
      {.max_queued = 100, .max_batch = 10, .interval = absl::Hours(1)},
      collector.Send());
  exporter.Add(Spans(25));
  exporter.Close(kNever);
  EXPECT_THAT(collector.batches, ElementsAre(10, 10, 5));
  EXPECT_EQ(exporter.exported(), 25u);
  EXPECT_EQ(exporter.dropped(), 0u);
  exporter.Add(Spans(2));
  EXPECT_EQ(exporter.dropped(), 2u) << "after the end";
}

TEST(SpanExporter, ALoneSpanGoesAfterTheInterval) {
  Collector collector;
  SpanExporter exporter({.max_queued = 100, .interval = absl::Milliseconds(20)},
                        collector.Send());
  exporter.Add(Spans(1));
  collector.asked.notified.WaitForNotification();
  exporter.Close(kNever);
  EXPECT_EQ(exporter.exported(), 1u);
}

TEST(SpanExporter, DropsAndCountsWhenFull) {
  Collector collector;
  collector.hang = true;
  SpanExporter exporter(
      {.max_queued = 100, .max_batch = 10, .interval = absl::ZeroDuration()},
      collector.Send());
  exporter.Add(Spans(10));
  collector.asked.notified.WaitForNotification();
  const absl::Time start = absl::Now();
  for (int i = 0; i < 1000; ++i) exporter.Add(Spans(7));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "does not wait";
  EXPECT_EQ(exporter.dropped(), 7000u - 100u);
  collector.hang = false;
  exporter.Close(kNever);
  // Ten were under way when the others came. They were given up, but tried
  // again.
  EXPECT_EQ(exporter.exported(), 110u);
  EXPECT_THAT(collector.batches, Each(Le(10u)));
}

TEST(SpanExporter, TriesAgainWhereThatCanHelp) {
  Collector collector;
  collector.failures = 2;
  SpanExporter exporter({.max_queued = 100,
                         .interval = absl::ZeroDuration(),
                         .max_attempts = 3,
                         .first_delay = absl::Milliseconds(1)},
                        collector.Send());
  exporter.Add(Spans(4));
  exporter.Close(kNever);
  EXPECT_EQ(exporter.exported(), 4u);
  EXPECT_EQ(collector.attempts, 3);
}

TEST(SpanExporter, GivesUpAfterItsAttemptsAndSaysSoOnce) {
  Collector collector;
  collector.failures = 2 * 3;
  std::vector<absl::StatusCode> told;
  SpanExporter exporter(
      {.max_queued = 100,
       .max_batch = 1,
       .interval = absl::ZeroDuration(),
       .max_attempts = 3,
       .first_delay = absl::Milliseconds(1),
       .on_change =
           [&](const absl::Status& status) { told.push_back(status.code()); }},
      collector.Send());
  exporter.Add(Spans(4));
  exporter.Close(kNever);
  EXPECT_EQ(exporter.dropped(), 2u);
  EXPECT_EQ(exporter.exported(), 2u);
  EXPECT_THAT(
      told, ElementsAre(absl::StatusCode::kUnavailable, absl::StatusCode::kOk));
}

TEST(SpanExporter, WhatIsRefusedIsNotTriedAgain) {
  Collector collector;
  collector.failures = 1;
  collector.error = absl::FailedPreconditionError("HTTP 400");
  SpanExporter exporter({.max_queued = 100, .interval = absl::ZeroDuration()},
                        collector.Send());
  exporter.Add(Spans(4));
  exporter.Close(kNever);
  EXPECT_EQ(collector.attempts, 1);
  EXPECT_EQ(exporter.dropped(), 4u);
}

TEST(SpanExporter, ACollectorThatHangsDoesNotHoldUpTheEnd) {
  Collector collector;
  collector.hang = true;
  SpanExporter exporter(
      {.max_queued = 100, .max_batch = 1, .interval = absl::ZeroDuration()},
      collector.Send());
  exporter.Add(Spans(5));
  collector.asked.notified.WaitForNotification();
  const absl::Time start = absl::Now();
  exporter.Close(SteadyIn(absl::Milliseconds(100)));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(100));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_EQ(exporter.dropped(), 5u);
}

}  // namespace
}  // namespace braid::services::telemetry
