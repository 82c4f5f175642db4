// The registry of operations, alone.
#include "services/server/operations.h"

#include <atomic>
#include <limits>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

std::vector<uint64_t> Numbers(const std::vector<OperationInfo>& operations) {
  std::vector<uint64_t> numbers;
  for (const OperationInfo& info : operations) numbers.push_back(info.number);
  return numbers;
}

class OperationsTest : public ::testing::Test {
 protected:
  std::shared_ptr<Operation> Start(OperationKind kind = OperationKind::kIngest,
                                   const std::string& collection = "docs") {
    now_ += absl::Seconds(1);
    return registry_.Start(kind, collection, "request");
  }
  absl::Time now_ = absl::FromUnixSeconds(1700000000);
  OperationRegistry registry_{3, [this] { return now_; }};
};

TEST_F(OperationsTest, TellsWhatHappened) {
  const auto operation = Start();
  now_ += absl::Seconds(5);
  operation->SetTotal(10);
  operation->Add(3, 1);
  operation->Add(2, 0);
  OperationInfo info = operation->info();
  EXPECT_EQ(info.state, OperationState::kRunning);
  EXPECT_EQ(info.done, 5u);
  EXPECT_EQ(info.failed, 1u);
  EXPECT_EQ(info.total, 10u);
  EXPECT_EQ(info.request_id, "request");
  EXPECT_EQ(info.end_time, absl::InfiniteFuture());
  operation->Finish(absl::OkStatus());
  // The end is the end.
  operation->Add(1, 1);
  operation->Finish(absl::InternalError("late"));
  operation->Cancel();
  info = operation->info();
  EXPECT_EQ(info.state, OperationState::kSucceeded);
  EXPECT_EQ(info.end_time - info.start_time, absl::Seconds(5));
  EXPECT_EQ(info.done, 5u);
  EXPECT_TRUE(info.error.ok());
  EXPECT_FALSE(info.cancel_requested);
  EXPECT_FALSE(operation->cancelled().stop_requested());
}

TEST_F(OperationsTest, StatesByStatus) {
  const auto state = [&](const absl::Status& status) {
    const auto operation = Start();
    operation->Finish(status);
    EXPECT_EQ(operation->info().error, status);
    return operation->info().state;
  };
  EXPECT_EQ(state(absl::OkStatus()), OperationState::kSucceeded);
  EXPECT_EQ(state(absl::CancelledError("x")), OperationState::kCancelled);
  EXPECT_EQ(state(absl::DeadlineExceededError("x")), OperationState::kFailed);
  EXPECT_EQ(state(absl::UnavailableError("x")), OperationState::kFailed);
}

TEST_F(OperationsTest, CancelAsksOnceAndDoesNotEnd) {
  const auto operation = Start();
  int asked = 0;
  const std::stop_callback watch(operation->cancelled(), [&] { ++asked; });
  operation->Cancel();
  operation->Cancel();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(operation->info().state, OperationState::kRunning);
  EXPECT_TRUE(operation->info().cancel_requested);
  // It was done before it noticed.
  operation->Finish(absl::OkStatus());
  EXPECT_EQ(operation->info().state, OperationState::kSucceeded);
}

TEST_F(OperationsTest, ListsTheNewestFirstInPages) {
  std::vector<std::shared_ptr<Operation>> operations;
  for (int i = 0; i < 7; ++i) {
    operations.push_back(
        Start(i % 2 == 0 ? OperationKind::kIngest : OperationKind::kBackup,
              i < 4 ? "docs" : "other"));
  }
  operations[2]->Finish(absl::CancelledError("stop"));
  EXPECT_THAT(Numbers(registry_.List({}, kAll, 3)), ElementsAre(7, 6, 5));
  EXPECT_THAT(Numbers(registry_.List({}, 5, 3)), ElementsAre(4, 3, 2));
  EXPECT_THAT(Numbers(registry_.List({}, 1, 3)), IsEmpty());
  OperationRegistry::Filter filter;
  filter.kind = OperationKind::kBackup;
  EXPECT_THAT(Numbers(registry_.List(filter, kAll, 10)), ElementsAre(6, 4, 2));
  filter.collection = "docs";
  EXPECT_THAT(Numbers(registry_.List(filter, kAll, 10)), ElementsAre(4, 2));
  filter = {.state = OperationState::kCancelled};
  EXPECT_THAT(Numbers(registry_.List(filter, kAll, 10)), ElementsAre(3));
}

TEST_F(OperationsTest, ForgetsWhatEndedFirstAndNothingThatRuns) {
  std::vector<std::shared_ptr<Operation>> operations;
  for (int i = 0; i < 6; ++i) operations.push_back(Start());
  for (const int ended : {3, 0, 5, 2}) {  // numbers 4, 1, 6, 3
    operations[ended]->Finish(absl::OkStatus());
  }
  EXPECT_THAT(Numbers(registry_.List({}, kAll, 10)),
              ElementsAre(6, 5, 3, 2, 1));
  EXPECT_EQ(registry_.Find(operations[3]->id()).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(registry_.Find(operations[1]->id()).ok());
  // Who follows one that is forgotten still learns its end.
  EXPECT_EQ(operations[3]->info().state, OperationState::kSucceeded);
}

TEST_F(OperationsTest, IdsAreOfThisRunAlone) {
  const std::string id = Start()->id();
  ASSERT_TRUE(registry_.Find(id).ok());
  EXPECT_EQ((*registry_.Find(id))->id(), id);
  for (const std::string& other :
       {std::string(), std::string("1"), std::string("0-1"), id + "0",
        absl::StrCat(id.substr(0, id.find('-') + 1), "01"),
        absl::StrCat(id.substr(0, id.find('-') + 1), "+1"),
        absl::StrCat(id.substr(0, id.find('-') + 1), "2")}) {
    EXPECT_FALSE(registry_.Find(other).ok()) << other;
  }
  now_ += absl::Seconds(1);
  OperationRegistry next(3, [this] { return now_; });
  EXPECT_NE(next.Start(OperationKind::kIngest, "", "")->id(), id);
  EXPECT_FALSE(next.Find(id).ok());
}

TEST_F(OperationsTest, WaitsForChangesAndForTheEnd) {
  const auto operation = Start();
  const OperationInfo first = operation->info();
  const auto soon = [] { return SteadyIn(absl::Milliseconds(20)); };
  EXPECT_EQ(operation->WaitForChange(first.revision, soon(), {}).revision,
            first.revision);
  std::thread work([&] {
    absl::SleepFor(absl::Milliseconds(20));
    operation->Add(1, 0);
    absl::SleepFor(absl::Milliseconds(20));
    operation->Finish(absl::OkStatus());
  });
  const auto never = kNever;
  EXPECT_EQ(operation->WaitForChange(first.revision, never, {}).done, 1u);
  operation->WaitForEnd(never, {});
  EXPECT_EQ(operation->info().state, OperationState::kSucceeded);
  // Nothing more will change: nobody waits for it.
  const uint64_t last = operation->info().revision;
  EXPECT_EQ(operation->WaitForChange(last, never, {}).revision, last);
  work.join();

  const auto stopped = Start();
  std::stop_source stop;
  std::thread stopper([&] {
    absl::SleepFor(absl::Milliseconds(20));
    stop.request_stop();
  });
  stopped->WaitForEnd(never, stop.get_token());
  EXPECT_EQ(stopped->info().state, OperationState::kRunning);
  stopper.join();
}

// Many at once: for ThreadSanitizer, and every follower sees the last state.
TEST_F(OperationsTest, ManyThreads) {
  OperationRegistry registry(10, nullptr);
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      for (const OperationInfo& info : registry.List({}, kAll, 100)) {
        const auto found = registry.Find(info.id);
        if (found.ok() && info.number % 3 == 0) (*found)->Cancel();
      }
    }
  });
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto operation =
            registry.Start(OperationKind::kIngest, "docs", "");
        std::thread follower([operation] {
          uint64_t seen = 0;
          OperationInfo info;
          do {
            info = operation->WaitForChange(seen, kNever, {});
            EXPECT_GE(info.revision, seen);
            seen = info.revision;
          } while (info.state == OperationState::kRunning);
          EXPECT_EQ(info.done, 20u);
        });
        for (int step = 0; step < 20; ++step) operation->Add(1, 0);
        operation->Finish(operation->cancelled().stop_requested()
                              ? absl::CancelledError("asked")
                              : absl::OkStatus());
        follower.join();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  done = true;
  reader.join();
  EXPECT_EQ(registry.List({}, kAll, 1000).size(), 10u);
}

}  // namespace
}  // namespace braid::services
