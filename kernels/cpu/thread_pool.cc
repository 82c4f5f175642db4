#include "kernels/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace braid::kernels {
namespace {

// More ranges than threads, so that a thread that the system takes away for a
// while does not hold up the others.
constexpr size_t kRangesPerThread = 4;

// One ParallelFor call; lives on the caller's stack.
struct Loop {
  const std::function<void(size_t, size_t)>* body;
  size_t n;
  size_t range;
  std::atomic<size_t> next{0};
  int workers = 0;  // that are inside Run; guarded by State::mutex

  bool HasWork() const { return next.load(std::memory_order_relaxed) < n; }

  void Run() {
    for (;;) {
      const size_t begin = next.fetch_add(range, std::memory_order_relaxed);
      if (begin >= n) return;
      (*body)(begin, std::min(n, begin + range));
    }
  }
};

}  // namespace

struct ThreadPool::State {
  std::mutex mutex;
  std::condition_variable work;  // a loop was added, or stop was set
  std::condition_variable left;  // a worker left a loop
  std::vector<Loop*> loops;      // oldest first; guarded by mutex
  bool stop = false;             // guarded by mutex
  std::vector<std::thread> threads;

  Loop* FindLoop() {
    for (Loop* loop : loops) {
      if (loop->HasWork()) return loop;
    }
    return nullptr;
  }

  void WorkerMain() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      Loop* loop = nullptr;
      work.wait(lock, [&] { return stop || (loop = FindLoop()) != nullptr; });
      if (loop == nullptr) return;
      ++loop->workers;
      lock.unlock();
      loop->Run();
      lock.lock();
      if (--loop->workers == 0) left.notify_all();
    }
  }
};

ThreadPool::ThreadPool(int num_threads)
    : num_threads_(std::max(1, num_threads)),
      state_(std::make_unique<State>()) {
  for (int i = 1; i < num_threads_; ++i) {
    state_->threads.emplace_back(
        [state = state_.get()] { state->WorkerMain(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->work.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

void ThreadPool::ParallelFor(
    size_t n, size_t grain,
    const std::function<void(size_t begin, size_t end)>& body) {
  if (n == 0) return;
  const size_t ranges = static_cast<size_t>(num_threads_) * kRangesPerThread;
  const size_t range =
      std::max<size_t>({size_t{1}, grain, (n + ranges - 1) / ranges});
  if (num_threads_ == 1 || n <= range) {
    body(0, n);
    return;
  }
  Loop loop{.body = &body, .n = n, .range = range};
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->loops.push_back(&loop);
  }
  const size_t useful_workers =
      std::min<size_t>((n + range - 1) / range, num_threads_) - 1;
  for (size_t i = 0; i < useful_workers; ++i) state_->work.notify_one();
  loop.Run();

  std::unique_lock<std::mutex> lock(state_->mutex);
  std::erase(state_->loops, &loop);
  state_->left.wait(lock, [&] { return loop.workers == 0; });
}

}  // namespace braid::kernels
