#include "services/auth/quotas.h"

#include <algorithm>
#include <chrono>

namespace braid::services::auth {
namespace {

constexpr size_t kMinForgetAt = 1024;
// When a call that holds a place ends is not known.
constexpr absl::Duration kInFlightDelay = absl::Milliseconds(100);

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

double Quotas::Burst() const {
  return std::max(1.0, options_.calls_per_second);
}

absl::Duration Quotas::Begin(absl::string_view name,
                             std::chrono::steady_clock::time_point now) {
  const double rate = options_.calls_per_second;
  if (options_.max_in_flight <= 0 && rate <= 0) return absl::ZeroDuration();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (usage_.size() >= forget_at_) Forget(now);
  const auto [entry, inserted] = usage_.try_emplace(name);
  Usage& usage = entry->second;
  if (inserted) {
    usage.tokens = Burst();
    usage.filled = now;
  }
  if (options_.max_in_flight > 0 && usage.in_flight >= options_.max_in_flight) {
    return kInFlightDelay;
  }
  if (rate > 0) {
    const double seconds = std::max(0.0, Seconds(now - usage.filled));
    usage.tokens = std::min(Burst(), usage.tokens + seconds * rate);
    usage.filled = now;
    if (usage.tokens < 1) return absl::Seconds((1 - usage.tokens) / rate);
    usage.tokens -= 1;
  }
  ++usage.in_flight;
  return absl::ZeroDuration();
}

void Quotas::End(absl::string_view name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = usage_.find(name);
  if (entry != usage_.end()) --entry->second.in_flight;
}

size_t Quotas::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return usage_.size();
}

void Quotas::Forget(std::chrono::steady_clock::time_point now) {
  absl::erase_if(usage_, [&](const auto& entry) {
    const Usage& usage = entry.second;
    const double tokens =
        usage.tokens + Seconds(now - usage.filled) * options_.calls_per_second;
    return usage.in_flight == 0 && tokens >= Burst();
  });
  forget_at_ = std::max(kMinForgetAt, 2 * usage_.size());
}

}  // namespace braid::services::auth
