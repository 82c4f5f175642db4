#include "retrieval/local/search_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace braid::retrieval {

void SearchTask::TryRun() {
  if (claimed_.exchange(true)) return;
  work_();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
  }
  done_changed_.notify_all();
}

bool SearchTask::Wait(std::chrono::steady_clock::time_point deadline,
                      const std::stop_token& stop) {
  std::unique_lock<std::mutex> lock(mutex_);
  return done_changed_.wait_until(lock, stop, deadline,
                                  [this] { return done_; });
}

SearchPool::SearchPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

SearchPool::~SearchPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  queue_changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SearchPool::Submit(std::shared_ptr<SearchTask> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(task));
  }
  queue_changed_.notify_one();
}

void SearchPool::Run() {
  for (;;) {
    std::shared_ptr<SearchTask> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      queue_changed_.wait(lock,
                          [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task->TryRun();
  }
}

}  // namespace braid::retrieval
