#include "services/server/operations.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace braid::services {
namespace {

OperationState StateAfter(const absl::Status& status) {
  if (status.ok()) return OperationState::kSucceeded;
  return absl::IsCancelled(status) ? OperationState::kCancelled
                                   : OperationState::kFailed;
}

bool Matches(const OperationRegistry::Filter& filter,
             const OperationInfo& info) {
  return (!filter.kind.has_value() || *filter.kind == info.kind) &&
         (!filter.state.has_value() || *filter.state == info.state) &&
         (filter.collection.empty() || filter.collection == info.collection) &&
         (!filter.visible || filter.visible(info));
}

}  // namespace

Operation::Operation(OperationRegistry* registry, OperationInfo info)
    : registry_(registry), id_(info.id), info_(std::move(info)) {}

OperationInfo Operation::info() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return info_;
}

void Operation::Change(const std::function<void(OperationInfo&)>& change) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (info_.state != OperationState::kRunning) return;
    change(info_);
    ++info_.revision;
  }
  changed_.notify_all();
}

void Operation::Cancel() {
  bool running = false;
  Change([&](OperationInfo& info) {
    running = true;
    info.cancel_requested = true;
  });
  // Not under the lock: what waits for it may do what it likes.
  if (running) cancel_.request_stop();
}

void Operation::SetCollection(absl::string_view collection,
                              bool document_access) {
  Change([&](OperationInfo& info) {
    info.collection = std::string(collection);
    info.document_access = info.document_access || document_access;
  });
}

void Operation::SetTotal(uint64_t total) {
  Change([&](OperationInfo& info) { info.total = total; });
}

void Operation::SetProgress(uint64_t done, uint64_t failed, uint64_t total) {
  Change([&](OperationInfo& info) {
    info.done = done;
    info.failed = failed;
    info.total = total;
  });
}

void Operation::Add(uint64_t done, uint64_t failed) {
  Change([&](OperationInfo& info) {
    info.done += done;
    info.failed += failed;
  });
}

void Operation::Finish(const absl::Status& status) {
  const absl::Time now = registry_->clock_();
  bool ended = false;
  Change([&](OperationInfo& info) {
    ended = true;
    info.state = StateAfter(status);
    info.error = status;
    info.end_time = std::max(now, info.start_time);
  });
  if (ended) registry_->Finished(info_.number);  // the number never changes
}

template <typename Condition>
void Operation::Wait(std::unique_lock<std::mutex>& lock,
                     std::chrono::steady_clock::time_point deadline,
                     const std::stop_token& stop, Condition condition) const {
  const auto holds = [&] {
    return info_.state != OperationState::kRunning || condition();
  };
  changed_.wait_until(lock, stop, deadline, holds);
}

OperationInfo Operation::WaitForChange(
    uint64_t seen, std::chrono::steady_clock::time_point deadline,
    const std::stop_token& stop) const {
  std::unique_lock<std::mutex> lock(mutex_);
  Wait(lock, deadline, stop, [&] { return info_.revision > seen; });
  return info_;
}

void Operation::WaitForEnd(std::chrono::steady_clock::time_point deadline,
                           const std::stop_token& stop) const {
  std::unique_lock<std::mutex> lock(mutex_);
  Wait(lock, deadline, stop, [] { return false; });
}

OperationRegistry::OperationRegistry(size_t max_finished,
                                     std::function<absl::Time()> clock)
    : max_finished_(max_finished),
      clock_(clock ? std::move(clock) : absl::Now),
      prefix_(absl::StrCat(absl::Hex(absl::ToUnixMillis(clock_())), "-")) {}

std::shared_ptr<Operation> OperationRegistry::Start(
    OperationKind kind, absl::string_view collection,
    absl::string_view request_id) {
  OperationInfo info;
  info.kind = kind;
  info.collection = std::string(collection);
  info.request_id = std::string(request_id);
  info.start_time = clock_();
  const std::lock_guard<std::mutex> lock(mutex_);
  info.number = ++last_number_;
  info.id = absl::StrCat(prefix_, info.number);
  const std::shared_ptr<Operation> operation(
      new Operation(this, std::move(info)));
  by_number_.emplace(last_number_, operation);
  return operation;
}

std::vector<OperationInfo> OperationRegistry::List(const Filter& filter,
                                                   uint64_t before,
                                                   size_t limit) const {
  std::vector<OperationInfo> found;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto entry = by_number_.lower_bound(before);
       entry != by_number_.begin() && found.size() < limit;) {
    --entry;
    OperationInfo info = entry->second->info();
    if (Matches(filter, info)) found.push_back(std::move(info));
  }
  return found;
}

absl::StatusOr<std::shared_ptr<Operation>> OperationRegistry::Find(
    absl::string_view id) const {
  absl::string_view digits = id;
  uint64_t number = 0;
  if (absl::ConsumePrefix(&digits, prefix_) &&
      absl::SimpleAtoi(digits, &number)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_number_.find(number);
    // Compared whole: a number can be written in more than one way.
    if (found != by_number_.end() && found->second->id() == id) {
      return found->second;
    }
  }
  return NotFound(id);
}

absl::Status OperationRegistry::NotFound(absl::string_view id) {
  return absl::NotFoundError(
      absl::StrCat("there is no operation \"", id, "\", or none any more"));
}

void OperationRegistry::Finished(uint64_t number) {
  // What is forgotten dies after the lock.
  std::shared_ptr<Operation> forgotten;
  const std::lock_guard<std::mutex> lock(mutex_);
  finished_.push_back(number);
  if (finished_.size() <= max_finished_) return;
  const auto oldest = by_number_.find(finished_.front());
  forgotten = std::move(oldest->second);
  by_number_.erase(oldest);
  finished_.pop_front();
}

}  // namespace braid::services
