// The thread that keeps a collection's indexes up with the store.
#ifndef BRAID_RETRIEVAL_LOCAL_COLLECTION_INDEXER_H_
#define BRAID_RETRIEVAL_LOCAL_COLLECTION_INDEXER_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retrieval/backend.h"
#include "retrieval/local/collection_view.h"
#include "retrieval/local/index_factories.h"
#include "retrieval/local/index_writer.h"
#include "retrieval/local/verify.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// Works in rounds: takes a snapshot of the store, brings both indexes to its
// newest sequence and publishes the three as one view. Rounds are spaced so
// that a lone write is visible at once, and a flood of them costs a fraction of
// one core in commits. Thread-safe.
class CollectionIndexer {
 public:
  // Told on the indexer's thread when indexing begins to fail, or works again.
  using Listener = std::function<void(const absl::Status&)>;

  // `store` must outlive the indexer. Starts the thread.
  CollectionIndexer(Store* store, const CollectionConfig& config,
                    const std::string& directory, absl::Duration interval,
                    size_t seal_vectors, const IndexFactories& factories,
                    Listener listener);
  // Stops.
  ~CollectionIndexer();

  // The newest view at or above `at_least`, waiting for it if it has to;
  // DEADLINE_EXCEEDED (with the reason, if indexing is failing), CANCELLED, or
  // UNAVAILABLE when the indexer stops. The first view is there when both
  // indexes have been opened and have caught up.
  absl::StatusOr<std::shared_ptr<const CollectionView>> WaitForView(
      Sequence at_least, std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop);
  // Has the thread check both indexes on the disk and against the store, and
  // build anew what is not right if `repair`; searches go on with the view they
  // have. Errors as WaitForView, or why the check could not run.
  absl::StatusOr<IndexReport> Verify(
      bool repair, std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop);
  // What each index has been given of the log so far; it may not be visible
  // yet.
  Sequence lexical_applied() const { return writer_.lexical_applied(); }
  Sequence dense_applied() const { return writer_.dense_applied(); }
  // Null before the first.
  std::shared_ptr<const CollectionView> view() const;
  IndexState state() const;

  // Makes both indexes durable where they are and ends the thread. Waits until
  // it has ended; the store's waiters must be closed, or the collection
  // deleted, for that to be at once.
  void Stop();

 private:
  void Run(const std::stop_token& stop);
  // One round; returns the sequence it reached.
  absl::StatusOr<Sequence> Round(const std::stop_token& stop);
  void Publish(std::shared_ptr<const CollectionView> view);
  // Does what Verify has asked for since.
  void RunCheck(const std::stop_token& stop);
  absl::StatusOr<IndexReport> Check(bool repair, const std::stop_token& stop);
  // Sleeps for `duration`, or until a search waits (if `until_wanted`), or
  // until the stop.
  void Sleep(absl::Duration duration, bool until_wanted,
             const std::stop_token& stop);
  void SetError(const absl::Status& error);  // or OK

  Store* const store_;
  const CollectionConfig config_;
  const absl::Duration interval_;
  const Listener listener_;

  // Of the thread alone, but for what is said to be thread-safe.
  IndexWriter writer_;
  bool open_ = false;
  bool rebuilt_ = false;         // an index was discarded since the last view
  absl::Duration committed_at_;  // on the steady clock

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;         // a new view, or the end
  std::condition_variable_any wanted_;          // waiting_ has grown
  std::shared_ptr<const CollectionView> view_;  // under mutex_
  int waiting_ = 0;                             // under mutex_
  bool ended_ = false;                          // under mutex_
  absl::Status error_;  // of the last round; under mutex_
  // A check that was asked for, and the result of the newest; under mutex_.
  std::optional<bool> check_wanted_;  // holds `repair`
  uint64_t checks_asked_ = 0;
  uint64_t checks_done_ = 0;
  absl::StatusOr<IndexReport> check_result_;

  std::mutex stop_mutex_;  // held while joining
  std::jthread thread_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_COLLECTION_INDEXER_H_
