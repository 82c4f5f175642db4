// Threads for the work of one kind of call.
#ifndef BRAID_SERVICES_SERVER_WORK_POOL_H_
#define BRAID_SERVICES_SERVER_WORK_POOL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace braid::services {

// Runs work on at most `max_threads` threads, started when they are first
// needed, and holds at most `max_in_flight` pieces, queued and running
// together. gRPC's own threads must never compute or block, so every handler
// runs here. Thread-safe.
class WorkPool {
 public:
  // One of the `max_in_flight` places. The work frees it before it tells the
  // client that it is done, so that a client that sends its next request at
  // once finds the place free.
  class Slot {
   public:
    explicit Slot(WorkPool* pool) : pool_(pool) {}
    Slot(Slot&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() { Release(); }
    void Release();

   private:
    WorkPool* pool_;
  };
  using Work = std::function<void(Slot)>;

  // A look at the pool, for metrics.
  struct Load {
    int queued = 0;
    int running = 0;
    int limit = 0;          // of both together
    uint64_t rejected = 0;  // since the start, for want of a place
  };

  WorkPool(int max_threads, int max_in_flight);
  // Runs what is queued, then returns.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // Returns false, and keeps nothing, when all places are taken. `work` must
  // not throw.
  bool TryRun(Work work) ABSL_LOCKS_EXCLUDED(mutex_);

  Load load() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasWorkOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !queue_.empty();
  }

  const size_t max_threads_;
  const int max_in_flight_;
  mutable absl::Mutex mutex_;
  std::deque<Work> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  size_t idle_threads_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t rejected_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_WORK_POOL_H_
