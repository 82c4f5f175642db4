#include "retrieval/local/collection_indexer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace braid::retrieval {
namespace {

// A round may take this share of the time: a commit of either index has a fixed
// cost, so bigger batches are cheaper.
constexpr int kRoundShare = 8;
// With the round itself, a write is then seen within half a second.
constexpr absl::Duration kMaxSpacing = absl::Milliseconds(400);
// What is only in memory becomes durable at the latest after this.
constexpr absl::Duration kCommitInterval = absl::Seconds(30);
// An idle collection looks this often for segments that were sealed in the
// background, and lets go of its old snapshot of the store.
constexpr std::chrono::seconds kTick(1);
constexpr std::chrono::seconds kIdleTick(30);
// A check that nobody has begun is asked for again.
constexpr std::chrono::milliseconds kInterruptInterval(200);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(10);

absl::Duration Steady() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

CollectionIndexer::CollectionIndexer(
    Store* store, const CollectionConfig& config, const std::string& directory,
    absl::Duration interval, size_t seal_vectors,
    const IndexFactories& factories, Listener listener)
    : store_(store),
      config_(config),
      interval_(interval),
      listener_(std::move(listener)),
      writer_(config, directory, seal_vectors, factories),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

CollectionIndexer::~CollectionIndexer() { Stop(); }

void CollectionIndexer::Stop() {
  const std::lock_guard<std::mutex> lock(stop_mutex_);
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const CollectionView> CollectionIndexer::view() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return view_;
}

IndexState CollectionIndexer::state() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {.visible_sequence = view_ == nullptr ? 0 : view_->sequence(),
          .error = error_};
}

absl::StatusOr<std::shared_ptr<const CollectionView>>
CollectionIndexer::WaitForView(Sequence at_least,
                               std::chrono::steady_clock::time_point deadline,
                               const std::stop_token& stop) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto arrived = [&] {
    return view_ != nullptr && view_->sequence() >= at_least;
  };
  if (arrived()) return view_;
  ++waiting_;
  wanted_.notify_all();
  absl::Status status;
  while (!arrived()) {
    if (stop.stop_requested()) {
      status = absl::CancelledError("the search was cancelled");
    } else if (ended_) {
      status = absl::UnavailableError(
          absl::StrCat("collection \"", config_.id, "\" is being closed"));
    } else if (std::chrono::steady_clock::now() >= deadline) {
      status = absl::DeadlineExceededError(absl::StrCat(
          "collection \"", config_.id, "\" has not made sequence ", at_least,
          " visible in time",
          error_.ok() ? ""
                      : absl::StrCat("; indexing fails: ", error_.ToString())));
    }
    if (!status.ok()) break;
    changed_.wait_until(lock, stop, deadline,
                        [&] { return arrived() || ended_; });
  }
  --waiting_;
  if (!status.ok()) return status;
  return view_;
}

absl::StatusOr<IndexReport> CollectionIndexer::Verify(
    bool repair, std::chrono::steady_clock::time_point deadline,
    const std::stop_token& stop) {
  // Asked for after the first view, so that the indexes are open.
  if (absl::Status status = WaitForView(0, deadline, stop).status();
      !status.ok()) {
    return status;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  check_wanted_ = repair || check_wanted_.value_or(false);
  const uint64_t asked = ++checks_asked_;
  store_->InterruptWaiters();
  while (checks_done_ < asked) {
    const auto now = std::chrono::steady_clock::now();
    if (stop.stop_requested()) return absl::CancelledError("cancelled");
    if (ended_) {
      return absl::UnavailableError(
          absl::StrCat("collection \"", config_.id, "\" is being closed"));
    }
    if (now >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          "the check of \"", config_.id, "\" was not done in time"));
    }
    // The interrupt may have come just before the thread began to wait.
    store_->InterruptWaiters();
    changed_.wait_until(lock, stop,
                        std::min(deadline, now + kInterruptInterval),
                        [&] { return checks_done_ >= asked || ended_; });
  }
  return check_result_;
}

void CollectionIndexer::RunCheck(const std::stop_token& stop) {
  bool repair = false;
  uint64_t asked = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!check_wanted_.has_value()) return;
    repair = *std::exchange(check_wanted_, std::nullopt);
    asked = checks_asked_;
  }
  absl::StatusOr<IndexReport> result = Check(repair, stop);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    check_result_ = std::move(result);
    checks_done_ = asked;
  }
  changed_.notify_all();
}

absl::StatusOr<IndexReport> CollectionIndexer::Check(
    bool repair, const std::stop_token& stop) {
  const std::shared_ptr<const CollectionView> now = view();
  const absl::StatusOr<std::vector<ChunkId>> store =
      now->store().ListChunks(config_.id);
  if (!store.ok()) return store.status();
  IndexReport report;
  report.collection = config_.id;
  report.sequence = now->sequence();
  report.store_chunks = store->size();
  const std::vector<std::string> damaged = writer_.Verify(
      *store, [&](absl::string_view name, const absl::Status& what) {
        report.damage.push_back(absl::StrCat(name, ": ", what.message()));
      });
  if (repair && !damaged.empty()) {
    if (absl::Status status = writer_.Discard(damaged); !status.ok()) {
      open_ = false;
      return status;
    }
    rebuilt_ = true;
    if (const auto round = Round(stop); !round.ok()) {
      open_ = false;
      return round.status();
    }
    if (absl::Status status = writer_.Commit(); !status.ok()) {
      open_ = false;
      return status;
    }
    report.repaired = damaged;
  }
  const std::shared_ptr<const CollectionView> after = view();
  const absl::StatusOr<std::vector<ChunkId>> bm25 = after->lexical()->Chunks();
  if (!bm25.ok()) return bm25.status();
  report.bm25_chunks = bm25->size();
  report.dense_chunks = after->dense()->Chunks().size();
  return report;
}

void CollectionIndexer::Publish(std::shared_ptr<const CollectionView> view) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // The old view is released outside the lock: it may hold the last
    // reference to large segments.
    view_.swap(view);
  }
  changed_.notify_all();
}

void CollectionIndexer::SetError(const absl::Status& error) {
  bool changed = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed = error_.ok() != error.ok();
    error_ = error;
  }
  if (changed && listener_ != nullptr) listener_(error);
}

void CollectionIndexer::Sleep(absl::Duration duration, bool until_wanted,
                              const std::stop_token& stop) {
  if (duration <= absl::ZeroDuration()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  wanted_.wait_for(lock, stop, absl::ToChronoNanoseconds(duration),
                   [&] { return until_wanted && waiting_ > 0; });
}

absl::StatusOr<Sequence> CollectionIndexer::Round(const std::stop_token& stop) {
  const bool reopened = !open_;
  if (!open_) {
    if (absl::Status status = writer_.Open(); !status.ok()) return status;
    open_ = true;
    committed_at_ = Steady();
  }
  // The snapshot comes first: the indexes are then brought to exactly its
  // newest sequence, so that the three agree.
  std::shared_ptr<const StoreSnapshot> snapshot = store_->snapshot();
  const absl::StatusOr<CollectionCounters> counters =
      snapshot->Counters(config_.id);
  if (!counters.ok()) return counters.status();
  const Sequence last = counters->last_sequence;
  if (absl::Status status = writer_.CatchUp(*snapshot, last, stop);
      !status.ok()) {
    return status;
  }
  const std::shared_ptr<const CollectionView> old = view();
  const bool same = !reopened && !std::exchange(rebuilt_, false) &&
                    old != nullptr && old->sequence() == last;
  Publish(std::make_shared<CollectionView>(
      config_.id, last, same ? old->lexical() : writer_.lexical_snapshot(),
      writer_.dense_snapshot(), std::move(snapshot)));

  const absl::Duration now = Steady();
  const bool late =
      writer_.committed() < last && now - committed_at_ >= kCommitInterval;
  if (writer_.CommitDue() || late) {
    if (absl::Status status = writer_.Commit(); !status.ok()) return status;
    committed_at_ = now;
    if (absl::Status status =
            store_->TruncateLog(config_.id, writer_.committed());
        !status.ok()) {
      return status;
    }
  } else if (writer_.committed() == last) {
    committed_at_ = now;
  }
  return last;
}

void CollectionIndexer::Run(const std::stop_token& stop) {
  absl::Duration backoff = kFirstBackoff;
  Sequence reached = 0;
  absl::Duration written_at = Steady();
  while (!stop.stop_requested()) {
    const absl::Duration begin = Steady();
    const absl::StatusOr<Sequence> round = Round(stop);
    if (absl::IsCancelled(round.status())) break;
    if (!round.ok()) {
      // Deleted without this backend: the thread has nothing left to do.
      if (absl::IsNotFound(store_->GetCollection(config_.id).status())) break;
      SetError(round.status());
      open_ = false;
      Sleep(backoff, /*until_wanted=*/false, stop);
      backoff = std::min(backoff * 2, kMaxBackoff);
      continue;
    }
    SetError(absl::OkStatus());
    backoff = kFirstBackoff;
    RunCheck(stop);
    const absl::Duration took = Steady() - begin;
    if (*round != reached) {
      reached = *round;
      written_at = begin;
      const absl::Duration spacing = std::clamp(
          took * kRoundShare, interval_, std::max(interval_, kMaxSpacing));
      Sleep(spacing - took, /*until_wanted=*/true, stop);
    }
    const bool busy = Steady() - written_at < 2 * absl::FromChrono(kIdleTick);
    if (!stop.stop_requested()) {
      store_->WaitForWrite(
          config_.id, reached,
          std::chrono::steady_clock::now() + (busy ? kTick : kIdleTick));
    }
  }
  // A failure here only means that more has to be replayed at the next start.
  if (open_ && writer_.Commit().ok()) {
    (void)store_->TruncateLog(config_.id, writer_.committed());
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

}  // namespace braid::retrieval
