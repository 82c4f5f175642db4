// Brings spans to a collector, in batches, from a thread of its own.
#ifndef BRAID_SERVICES_TELEMETRY_SPAN_EXPORTER_H_
#define BRAID_SERVICES_TELEMETRY_SPAN_EXPORTER_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/telemetry/span.h"

namespace braid::services::telemetry {

// Sends one batch and waits until it has been taken; returns early when
// `give_up` says so. UNAVAILABLE if trying again can help.
using SendSpans = std::function<absl::Status(
    absl::Span<const Span> spans, const std::function<bool()>& give_up)>;

struct SpanExporterOptions {
  size_t max_queued = 0;  // spans that wait; beyond it they are dropped
  size_t max_batch = 512;
  // A span waits for others at the most so long.
  absl::Duration interval = absl::Seconds(1);
  // A batch that could not be sent is tried again so often, after the first
  // delay, twice that, and so on; then it is dropped.
  int max_attempts = 3;
  absl::Duration first_delay = absl::Seconds(1);
  // Told when sending begins to fail, with the error, and when it works again,
  // with OK. Called by the exporter's thread; may be empty.
  std::function<void(const absl::Status&)> on_change;
};

// Thread-safe.
class SpanExporter {
 public:
  SpanExporter(const SpanExporterOptions& options, SendSpans send);
  // Drops what is left.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Never blocks on the collector: spans that find no room are dropped.
  void Add(std::vector<Span> spans);

  // Sends what waits, without waiting between attempts, and ends the thread;
  // drops what is left at `deadline`. Later spans are dropped.
  void Close(std::chrono::steady_clock::time_point deadline);

  // Since the start.
  uint64_t exported() const { return exported_; }
  uint64_t dropped() const { return dropped_; }

 private:
  void Run();
  absl::Status Send(absl::Span<const Span> batch);
  // Empty at the end.
  std::vector<Span> TakeBatch();
  bool GiveUp();

  const SpanExporterOptions options_;
  const SendSpans send_;
  std::atomic<uint64_t> exported_ = 0;
  std::atomic<uint64_t> dropped_ = 0;
  bool failing_ = false;  // of the thread alone
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Span> queue_;  // under mutex_
  bool closed_ = false;     // under mutex_
  // Under mutex_.
  std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::time_point::max();
  std::mutex join_mutex_;  // held while joining
  std::thread thread_;
};

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_SPAN_EXPORTER_H_
