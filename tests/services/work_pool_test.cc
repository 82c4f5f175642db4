#include "services/server/work_pool.h"

#include <atomic>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace braid::services {
namespace {

TEST(WorkPool, RefusesBeyondItsPlacesAndFreesThem) {
  WorkPool pool(2, 3);
  absl::Notification go;
  absl::BlockingCounter done(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(pool.TryRun([&](WorkPool::Slot slot) {
      go.WaitForNotification();
      slot.Release();
      done.DecrementCount();
    }));
  }
  EXPECT_FALSE(pool.TryRun([](WorkPool::Slot) { FAIL(); }));
  go.Notify();
  done.Wait();
  // Released before the work said that it was done.
  absl::Notification ran;
  EXPECT_TRUE(pool.TryRun([&](WorkPool::Slot) { ran.Notify(); }));
  ran.WaitForNotification();
}

TEST(WorkPool, TellsItsLoad) {
  WorkPool pool(2, 3);
  absl::Notification go;
  absl::BlockingCounter running(2);
  absl::BlockingCounter done(3);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool.TryRun([&, i](WorkPool::Slot slot) {
      if (i < 2) running.DecrementCount();
      go.WaitForNotification();
      slot.Release();
      done.DecrementCount();
    }));
  }
  running.Wait();
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(pool.TryRun([](WorkPool::Slot) { FAIL(); }));
  }
  WorkPool::Load load = pool.load();
  EXPECT_EQ(load.queued, 1);
  EXPECT_EQ(load.running, 2);
  EXPECT_EQ(load.limit, 3);
  EXPECT_EQ(load.rejected, 4u);
  go.Notify();
  done.Wait();
  load = pool.load();
  EXPECT_EQ(load.queued, 0);
  EXPECT_EQ(load.running, 0);
  EXPECT_EQ(load.rejected, 4u);
}

TEST(WorkPool, RunsEverythingBeforeItEnds) {
  std::atomic<int> count = 0;
  {
    WorkPool pool(3, 1000);
    for (int i = 0; i < 1000; ++i) {
      EXPECT_TRUE(pool.TryRun([&](WorkPool::Slot) { ++count; }));
    }
  }
  EXPECT_EQ(count, 1000);
}

TEST(WorkPool, NeverMoreThreadsThanAsked) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  {
    WorkPool pool(2, 100);
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(pool.TryRun([&](WorkPool::Slot) {
        const int now = ++running;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --running;
      }));
    }
  }
  EXPECT_LE(most, 2);
  EXPECT_GE(most, 1);
}

}  // namespace
}  // namespace braid::services
