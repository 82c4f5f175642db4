// The long-running calls of a server: listed, followed, cancelled.
#ifndef BRAID_SERVICES_SERVER_OPERATIONS_H_
#define BRAID_SERVICES_SERVER_OPERATIONS_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::services {

enum class OperationKind { kIngest, kDeleteDocuments, kVerify, kBackup };
enum class OperationState { kRunning, kSucceeded, kFailed, kCancelled };

// What is known of an operation at one moment.
struct OperationInfo {
  // Counts the operations of a server: a newer one has a higher number.
  uint64_t number = 0;
  std::string id;
  OperationKind kind = OperationKind::kIngest;
  std::string collection;  // id; empty: none, or not known yet
  // It has worked on a collection with document_access: how much it has done
  // tells of documents that not every reader may see.
  bool document_access = false;
  std::string request_id;  // of the call
  OperationState state = OperationState::kRunning;
  bool cancel_requested = false;
  absl::Time start_time;
  absl::Time end_time = absl::InfiniteFuture();
  // In documents, or bytes of a backup.
  uint64_t done = 0;
  uint64_t failed = 0;
  std::optional<uint64_t> total;
  absl::Status error;  // OK unless it failed or was cancelled
  // Counts the changes of all of the above.
  uint64_t revision = 0;
};

class OperationRegistry;

// One operation. Thread-safe. Does nothing by itself: the call that it stands
// for tells it what happens, and looks at cancelled().
class Operation {
 public:
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  const std::string& id() const { return id_; }
  OperationInfo info() const;

  // Stop is requested by Cancel.
  std::stop_token cancelled() const { return cancel_.get_token(); }
  // Asks the operation to stop. Does nothing if it has ended or was asked
  // before.
  void Cancel();

  // What is told after Finish is not kept.
  void SetCollection(absl::string_view collection, bool document_access);
  void SetTotal(uint64_t total);
  void SetProgress(uint64_t done, uint64_t failed, uint64_t total);
  void Add(uint64_t done, uint64_t failed);
  // Ends it: OK is success, CANCELLED is that, anything else is failure. The
  // first call counts.
  void Finish(const absl::Status& status);

  // Blocks until there is a revision above `seen`, or until `deadline`, or
  // until `stop`; returns the newest.
  OperationInfo WaitForChange(uint64_t seen,
                              std::chrono::steady_clock::time_point deadline,
                              const std::stop_token& stop) const;
  // Blocks until it has ended, or as above.
  void WaitForEnd(std::chrono::steady_clock::time_point deadline,
                  const std::stop_token& stop) const;

 private:
  friend class OperationRegistry;
  Operation(OperationRegistry* registry, OperationInfo info);

  // Applies `change` if it runs.
  void Change(const std::function<void(OperationInfo&)>& change);
  template <typename Condition>
  void Wait(std::unique_lock<std::mutex>& lock,
            std::chrono::steady_clock::time_point deadline,
            const std::stop_token& stop, Condition condition) const;

  OperationRegistry* const registry_;
  const std::string id_;
  std::stop_source cancel_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  OperationInfo info_;  // under mutex_
};

// All operations that run, and the last that have ended. Thread-safe. Must
// outlive its operations' work.
class OperationRegistry {
 public:
  // Keeps `max_finished` of those that have ended. A null clock is absl::Now.
  OperationRegistry(size_t max_finished, std::function<absl::Time()> clock);
  OperationRegistry(const OperationRegistry&) = delete;
  OperationRegistry& operator=(const OperationRegistry&) = delete;

  // Begins an operation; Finish must follow.
  std::shared_ptr<Operation> Start(OperationKind kind,
                                   absl::string_view collection,
                                   absl::string_view request_id);

  struct Filter {
    std::optional<OperationKind> kind;
    std::optional<OperationState> state;
    std::string collection;  // empty for any
    // Whether one is listed; null for all.
    std::function<bool(const OperationInfo& info)> visible;
  };
  // The newest first, at most `limit`, with numbers below `before`.
  std::vector<OperationInfo> List(const Filter& filter, uint64_t before,
                                  size_t limit) const;
  static absl::Status NotFound(absl::string_view id);
  // NOT_FOUND if there is none, or none any more.
  absl::StatusOr<std::shared_ptr<Operation>> Find(absl::string_view id) const;

 private:
  friend class Operation;
  // `operation` has ended: forgets the one that did so first when there are
  // more than max_finished.
  void Finished(uint64_t number);

  const size_t max_finished_;
  const std::function<absl::Time()> clock_;
  // Makes the ids of this run of the server its own.
  const std::string prefix_;
  // Taken before an operation's own mutex, never after.
  mutable std::mutex mutex_;
  uint64_t last_number_ = 0;                                  // under mutex_
  std::map<uint64_t, std::shared_ptr<Operation>> by_number_;  // under mutex_
  std::deque<uint64_t> finished_;  // under mutex_; in the order of their ends
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_OPERATIONS_H_
