#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace braid::kernels {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const int threads : {-1, 1, 2, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.num_threads(), std::max(1, threads));
    for (const size_t n : {0, 1, 2, 13, 1000}) {
      for (const size_t grain : {0, 1, 10, 5000}) {
        std::vector<std::atomic<int>> seen(n);
        pool.ParallelFor(n, grain, [&](size_t begin, size_t end) {
          ASSERT_LT(begin, end);
          ASSERT_LE(end, n);
          for (size_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const std::atomic<int>& count : seen) ASSERT_EQ(count.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, UsesItsWorkers) {
  ThreadPool pool(3);
  // Three ranges that each wait for the two others can only end if three
  // threads run them.
  std::atomic<int> inside{0};
  pool.ParallelFor(3, 1, [&](size_t begin, size_t end) {
    ASSERT_EQ(end, begin + 1);
    ++inside;
    while (inside.load() < 3) std::this_thread::yield();
  });
  EXPECT_EQ(inside.load(), 3);
}

TEST(ThreadPool, ConcurrentAndNestedLoopsEnd) {
  ThreadPool pool(3);
  std::atomic<size_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        pool.ParallelFor(20, 1, [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) {
            pool.ParallelFor(5, 1, [&](size_t inner_begin, size_t inner_end) {
              total += inner_end - inner_begin;
            });
          }
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 4u * 50 * 20 * 5);
}

}  // namespace
}  // namespace braid::kernels
