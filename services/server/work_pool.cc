#include "services/server/work_pool.h"

#include <system_error>

namespace braid::services {

void WorkPool::Slot::Release() {
  WorkPool* pool = std::exchange(pool_, nullptr);
  if (pool == nullptr) return;
  absl::MutexLock lock(&pool->mutex_);
  --pool->in_flight_;
}

WorkPool::WorkPool(int max_threads, int max_in_flight)
    : max_threads_(static_cast<size_t>(max_threads)),
      max_in_flight_(max_in_flight) {}

WorkPool::~WorkPool() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

bool WorkPool::TryRun(Work work) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  if (in_flight_ >= max_in_flight_) {
    ++rejected_;
    return false;
  }
  // A thread for each piece of work that no idle thread will take.
  if (queue_.size() >= idle_threads_ && threads_.size() < max_threads_) {
    try {
      threads_.emplace_back([this] { Loop(); });
    } catch (const std::system_error&) {
      // The system has no thread to give. The threads there are will do the
      // work; without any, this is overload.
      if (threads_.empty()) {
        ++rejected_;
        return false;
      }
    }
  }
  ++in_flight_;
  queue_.push_back(std::move(work));
  return true;
}

WorkPool::Load WorkPool::load() const {
  absl::MutexLock lock(&mutex_);
  const int queued = static_cast<int>(queue_.size());
  return {queued, in_flight_ - queued, max_in_flight_, rejected_};
}

void WorkPool::Loop() {
  while (true) {
    Work work;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_threads_;
      mutex_.Await(absl::Condition(this, &WorkPool::HasWorkOrClosed));
      --idle_threads_;
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work(Slot(this));
  }
}

}  // namespace braid::services
