#include "kernels/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace braid::kernels {
namespace {

// A thread takes one part in this many of its share of what is left: the ranges
// shrink towards the end, where threads would wait for the one with the last,
// and a thread that the system takes away for a while holds up little.
constexpr size_t kPartsOfShare = 2;

using Clock = std::chrono::steady_clock;
// How long a thread looks for work before it sleeps: a model's pass over a
// token is hundreds of loops, a few microseconds apart, and to wake a thread
// takes tens of them.
constexpr std::chrono::microseconds kAwake{60};
// How long it does so without offering its core to others.
constexpr std::chrono::microseconds kEager{15};
constexpr int kPausesPerLook = 16;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when `value` is no longer `seen`: soon, if that comes within kAwake.
void WaitForChange(const std::atomic<uint32_t>& value, uint32_t seen) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (value.load(std::memory_order_acquire) != seen) return;
      Pause();
    }
    const Clock::duration waited = Clock::now() - start;
    if (waited > kAwake) break;
    if (waited > kEager) sched_yield();
  }
  value.wait(seen, std::memory_order_acquire);
}

// Held for some tens of nanoseconds at a time.
class SpinLock {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) {
      // The holder may have lost its core.
      for (int i = 0; held_.load(std::memory_order_relaxed); ++i) {
        Pause();
        if (i >= kPausesPerLook) sched_yield();
      }
    }
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

// One ParallelFor call; lives on the caller's stack.
struct Loop {
  const std::function<void(size_t, size_t)>* body;
  size_t n;
  size_t grain;
  size_t parts;  // that what is left is cut into
  std::atomic<size_t> next{0};
  int workers = 0;  // that are inside Run; guarded by State::lock

  bool HasWork() const { return next.load(std::memory_order_relaxed) < n; }

  void Run() {
    size_t begin = next.load(std::memory_order_relaxed);
    while (begin < n) {
      const size_t end =
          std::min(n, begin + std::max(grain, (n - begin) / parts));
      if (!next.compare_exchange_weak(begin, end, std::memory_order_relaxed)) {
        continue;
      }
      (*body)(begin, end);
      begin = next.load(std::memory_order_relaxed);
    }
  }
};

}  // namespace

struct ThreadPool::State {
  SpinLock lock;
  std::vector<Loop*> loops;        // oldest first; guarded by lock
  std::atomic<uint32_t> added{0};  // counts loops, and the end of the pool
  std::atomic<uint32_t> left{0};   // counts workers that left a loop
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;

  // A loop with work, joined; null if there is none.
  Loop* Join() {
    const std::lock_guard<SpinLock> guard(lock);
    for (Loop* loop : loops) {
      if (!loop->HasWork()) continue;
      ++loop->workers;
      return loop;
    }
    return nullptr;
  }

  void WorkerMain() {
    for (;;) {
      // Read before the search: what is added after it is a change.
      const uint32_t seen = added.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_relaxed)) return;
      Loop* loop = Join();
      if (loop == nullptr) {
        WaitForChange(added, seen);
        continue;
      }
      loop->Run();
      {
        const std::lock_guard<SpinLock> guard(lock);
        --loop->workers;  // the loop may be gone after this
      }
      left.fetch_add(1, std::memory_order_release);
      left.notify_all();
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
  state_->stop.store(true, std::memory_order_relaxed);
  state_->added.fetch_add(1, std::memory_order_release);
  state_->added.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

void ParallelFor(ThreadPool* pool, size_t n, size_t grain,
                 const std::function<void(size_t begin, size_t end)>& body) {
  if (pool != nullptr) {
    pool->ParallelFor(n, grain, body);
  } else if (n > 0) {
    body(0, n);
  }
}

void ThreadPool::ParallelFor(
    size_t n, size_t grain,
    const std::function<void(size_t begin, size_t end)>& body) {
  if (n == 0) return;
  grain = std::max<size_t>(1, grain);
  if (num_threads_ == 1 || n <= grain) {
    body(0, n);
    return;
  }
  Loop loop{.body = &body,
            .n = n,
            .grain = grain,
            .parts = static_cast<size_t>(num_threads_) * kPartsOfShare};
  {
    const std::lock_guard<SpinLock> guard(state_->lock);
    state_->loops.push_back(&loop);
  }
  state_->added.fetch_add(1, std::memory_order_release);
  state_->added.notify_all();
  loop.Run();

  {
    const std::lock_guard<SpinLock> guard(state_->lock);
    std::erase(state_->loops, &loop);
  }
  for (;;) {
    const uint32_t seen = state_->left.load(std::memory_order_acquire);
    {
      const std::lock_guard<SpinLock> guard(state_->lock);
      if (loop.workers == 0) return;
    }
    WaitForChange(state_->left, seen);
  }
}

}  // namespace braid::kernels
