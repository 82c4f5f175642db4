// A fixed pool of worker threads for data-parallel loops.
#ifndef BRAID_KERNELS_THREAD_POOL_H_
#define BRAID_KERNELS_THREAD_POOL_H_

#include <cstddef>
#include <functional>
#include <memory>

namespace braid::kernels {

// Between loops, workers look for the next one for some tens of microseconds,
// offering their core to whoever wants it, and then sleep: an idle pool costs a
// shared machine nothing. A worker that the system takes away holds up no more
// than the range that it was in. Thread-safe: loops of several callers share
// the workers, and a caller always works on its own loop too, so nested or
// concurrent loops cannot deadlock.
class ThreadPool;

// On the pool's threads, or on the caller if it is null: see
// ThreadPool::ParallelFor.
void ParallelFor(ThreadPool* pool, size_t n, size_t grain,
                 const std::function<void(size_t begin, size_t end)>& body);

// The grain of items of `item_work` each, where less than `least_work` is not
// worth waking a thread for.
constexpr size_t GrainOf(size_t least_work, size_t item_work) {
  return least_work / (item_work == 0 ? 1 : item_work) + 1;
}

class ThreadPool {
 public:
  // `num_threads` counts the calling thread: 1 means "no workers, run inline".
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  // Calls `body(begin, end)` over disjoint ranges that cover [0, n), each of at
  // least `grain` items where possible, and returns when all are done. `body`
  // must not throw.
  void ParallelFor(size_t n, size_t grain,
                   const std::function<void(size_t begin, size_t end)>& body);

 private:
  struct State;
  int num_threads_;
  std::unique_ptr<State> state_;
};

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_THREAD_POOL_H_
