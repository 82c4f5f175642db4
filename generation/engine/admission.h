// Who may compute: one request at a time, a bounded number waiting in order.
#ifndef BRAID_GENERATION_ENGINE_ADMISSION_H_
#define BRAID_GENERATION_ENGINE_ADMISSION_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>

namespace braid::generation {

// Thread-safe.
class Admission {
 public:
  enum class Outcome { kAdmitted, kQueueFull, kCancelled, kDeadline };

  explicit Admission(size_t max_waiting) : max_waiting_(max_waiting) {}

  // Blocks until it is the caller's turn, first come first served. After
  // kAdmitted, and only then, the caller must call Leave.
  Outcome Enter(std::chrono::steady_clock::time_point deadline,
                std::stop_token stop);
  void Leave();
  // How many wait now.
  size_t waiting() const;

 private:
  const size_t max_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool busy_ = false;
  uint64_t next_ticket_ = 0;
  std::deque<uint64_t> waiting_;
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_ADMISSION_H_
