#include "generation/engine/admission.h"

#include <algorithm>
#include <utility>

namespace braid::generation {

Admission::Outcome Admission::Enter(
    std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!busy_ && waiting_.empty()) {
    busy_ = true;
    return Outcome::kAdmitted;
  }
  if (waiting_.size() >= max_waiting_) return Outcome::kQueueFull;
  const uint64_t ticket = next_ticket_++;
  waiting_.push_back(ticket);
  const auto my_turn = [&] { return !busy_ && waiting_.front() == ticket; };
  const bool admitted = changed_.wait_until(lock, stop, deadline, my_turn);
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), ticket));
  if (admitted) {
    busy_ = true;
    return Outcome::kAdmitted;
  }
  // Whoever stood behind may now be first.
  changed_.notify_all();
  return stop.stop_requested() ? Outcome::kCancelled : Outcome::kDeadline;
}

void Admission::Leave() {
  const std::lock_guard<std::mutex> lock(mutex_);
  busy_ = false;
  changed_.notify_all();
}

size_t Admission::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return waiting_.size();
}

}  // namespace braid::generation
