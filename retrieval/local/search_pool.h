// Threads for the second leg of a search.
#ifndef BRAID_RETRIEVAL_LOCAL_SEARCH_POOL_H_
#define BRAID_RETRIEVAL_LOCAL_SEARCH_POOL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "absl/time/time.h"

namespace braid::retrieval {

// Work that runs once: on a pool thread, or on the thread that asked for it if
// that one comes first. Thread-safe.
class SearchTask {
 public:
  explicit SearchTask(std::function<void()> work) : work_(std::move(work)) {}

  // Runs the work here, unless it runs or ran already.
  void TryRun();
  // Blocks until the work is done; false if `deadline` passed or `stop` was
  // requested before. The work may then still be running.
  bool Wait(std::chrono::steady_clock::time_point deadline,
            const std::stop_token& stop);

 private:
  const std::function<void()> work_;
  std::atomic<bool> claimed_ = false;
  std::mutex mutex_;
  std::condition_variable_any done_changed_;
  bool done_ = false;  // under mutex_
};

// Thread-safe. Idle threads sleep.
class SearchPool {
 public:
  explicit SearchPool(int threads);
  // Finishes what was started; drops what was not.
  ~SearchPool();

  void Submit(std::shared_ptr<SearchTask> task);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable queue_changed_;
  std::deque<std::shared_ptr<SearchTask>> queue_;  // under mutex_
  bool stopping_ = false;                          // under mutex_
  std::vector<std::thread> threads_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_SEARCH_POOL_H_
