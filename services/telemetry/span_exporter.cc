#include "services/telemetry/span_exporter.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace braid::services::telemetry {

SpanExporter::SpanExporter(const SpanExporterOptions& options, SendSpans send)
    : options_(options), send_(std::move(send)), thread_([this] { Run(); }) {}

SpanExporter::~SpanExporter() { Close(std::chrono::steady_clock::now()); }

void SpanExporter::Add(std::vector<Span> spans) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t room = closed_
                            ? 0
                            : options_.max_queued -
                                  std::min(options_.max_queued, queue_.size());
    const size_t taken = std::min(room, spans.size());
    std::move(spans.begin(), spans.begin() + static_cast<ptrdiff_t>(taken),
              std::back_inserter(queue_));
    dropped_ += spans.size() - taken;
  }
  changed_.notify_one();
}

void SpanExporter::Close(std::chrono::steady_clock::time_point deadline) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    deadline_ = std::min(deadline_, deadline);
  }
  changed_.notify_one();
  const std::lock_guard<std::mutex> lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

bool SpanExporter::GiveUp() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_ && std::chrono::steady_clock::now() >= deadline_;
}

std::vector<Span> SpanExporter::TakeBatch() {
  std::vector<Span> batch;
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
  changed_.wait_for(lock, absl::ToChronoNanoseconds(options_.interval), [this] {
    return closed_ || queue_.size() >= options_.max_batch;
  });
  if (closed_ && std::chrono::steady_clock::now() >= deadline_) {
    dropped_ += queue_.size();
    queue_.clear();
  }
  const auto end = queue_.begin() + static_cast<ptrdiff_t>(std::min(
                                        options_.max_batch, queue_.size()));
  std::move(queue_.begin(), end, std::back_inserter(batch));
  queue_.erase(queue_.begin(), end);
  return batch;
}

absl::Status SpanExporter::Send(absl::Span<const Span> batch) {
  absl::Duration delay = options_.first_delay;
  for (int attempt = 1;; ++attempt) {
    absl::Status status = send_(batch, [this] { return GiveUp(); });
    if (!absl::IsUnavailable(status) || attempt >= options_.max_attempts) {
      return status;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(delay),
                      [this] { return closed_; });
    if (closed_ && std::chrono::steady_clock::now() >= deadline_) return status;
    delay *= 2;
  }
}

void SpanExporter::Run() {
  while (true) {
    const std::vector<Span> batch = TakeBatch();
    if (batch.empty()) return;
    const absl::Status status = Send(batch);
    (status.ok() ? exported_ : dropped_) += batch.size();
    if (status.ok() == failing_ && options_.on_change) {
      options_.on_change(status);
    }
    failing_ = !status.ok();
  }
}

}  // namespace braid::services::telemetry
