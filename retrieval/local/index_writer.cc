#include "retrieval/local/index_writer.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

constexpr size_t kLogBatch = 512;
// A long replay is made durable this often, so that a crash does not undo it.
constexpr std::chrono::seconds kReplayCommitInterval{5};

absl::Status Stopped() { return absl::CancelledError("the indexer stops"); }

}  // namespace

absl::Status CompareChunks(absl::Span<const ChunkId> store,
                           absl::Span<const ChunkId> index) {
  std::vector<ChunkId> missing;
  std::set_difference(store.begin(), store.end(), index.begin(), index.end(),
                      std::back_inserter(missing));
  std::vector<ChunkId> extra;
  std::set_difference(index.begin(), index.end(), store.begin(), store.end(),
                      std::back_inserter(extra));
  if (missing.empty() && extra.empty()) return absl::OkStatus();
  std::string what;
  if (!missing.empty()) {
    what = absl::StrCat("lacks ", missing.size(), " chunks, such as ",
                        missing.front());
  }
  if (!extra.empty()) {
    absl::StrAppend(&what, what.empty() ? "" : "; ", "has ", extra.size(),
                    " chunks that the store has not, such as ", extra.front());
  }
  return absl::DataLossError(what);
}

IndexWriter::IndexWriter(const CollectionConfig& config,
                         const std::string& directory, size_t seal_vectors,
                         const IndexFactories& factories)
    : collection_(config.id),
      lexical_(std::make_unique<LexicalLeg>(directory + "/lexical", config,
                                            factories)),
      dense_(std::make_unique<DenseLeg>(directory + "/dense", config,
                                        seal_vectors, factories)),
      legs_{lexical_.get(), dense_.get()} {}

absl::Status IndexWriter::Open() {
  checked_ = false;
  for (IndexLeg* leg : legs_) {
    if (absl::Status status = leg->Open(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status IndexWriter::CatchUp(const StoreSnapshot& snapshot, Sequence last,
                                  const std::stop_token& stop) {
  for (IndexLeg* leg : legs_) {
    // Probes whether the log still reaches back to where this index is.
    const absl::Status reachable =
        snapshot.ReadLog(collection_, leg->applied(), 1).status();
    if (!reachable.ok() && !absl::IsOutOfRange(reachable)) return reachable;
    if (!reachable.ok() || leg->applied() > last) {
      if (absl::Status status = Rebuild(*leg, snapshot, last, stop);
          !status.ok()) {
        return status;
      }
    }
  }
  if (absl::Status status = Replay(snapshot, last, stop); !status.ok()) {
    return status;
  }
  for (IndexLeg* leg : legs_) {
    if (absl::Status status = leg->Publish(last); !status.ok()) return status;
  }
  if (checked_) return absl::OkStatus();
  // An index may have been swapped or restored behind our back: its sequence
  // fits, its contents do not. Counting is cheap enough to do at every start.
  const absl::StatusOr<CollectionCounters> counters =
      snapshot.Counters(collection_);
  if (!counters.ok()) return counters.status();
  for (IndexLeg* leg : legs_) {
    const absl::StatusOr<std::vector<ChunkId>> chunks = leg->Chunks();
    if (chunks.ok() && chunks->size() == counters->chunks) continue;
    if (absl::Status status = Rebuild(*leg, snapshot, last, stop);
        !status.ok()) {
      return status;
    }
  }
  checked_ = true;
  return absl::OkStatus();
}

absl::Status IndexWriter::Replay(const StoreSnapshot& snapshot, Sequence last,
                                 const std::stop_token& stop) {
  auto committed_at = std::chrono::steady_clock::now();
  for (;;) {
    const Sequence applied = std::min(lexical_->applied(), dense_->applied());
    if (applied >= last) return absl::OkStatus();
    const absl::StatusOr<std::vector<LogEntry>> log =
        snapshot.ReadLog(collection_, applied, kLogBatch);
    if (!log.ok()) return log.status();
    if (log->empty()) {
      return absl::DataLossError("the operation log of \"" + collection_ +
                                 "\" ends before its newest sequence");
    }
    for (const LogEntry& entry : *log) {
      if (stop.stop_requested()) return Stopped();
      if (absl::Status status = Apply(snapshot, entry); !status.ok()) {
        return status;
      }
    }
    const auto now = std::chrono::steady_clock::now();
    const bool long_replay = now - committed_at > kReplayCommitInterval;
    for (IndexLeg* leg : legs_) {
      if (!long_replay && !leg->CommitDue()) continue;
      if (absl::Status status = leg->Commit(leg->applied()); !status.ok()) {
        return status;
      }
    }
    if (long_replay) committed_at = now;
  }
}

absl::Status IndexWriter::Apply(const StoreSnapshot& snapshot,
                                const LogEntry& entry) {
  // A version that a later entry of this log replaces or deletes is no longer
  // in the snapshot: there is nothing to add for it.
  std::optional<DocumentInfo> document;
  if (entry.kind == LogEntry::Kind::kPut) {
    absl::StatusOr<DocumentInfo> now =
        snapshot.GetDocument(collection_, entry.document_id);
    if (now.ok() && now->sequence == entry.sequence) {
      document = *std::move(now);
    } else if (!now.ok() && !absl::IsNotFound(now.status())) {
      return now.status();
    }
  }
  for (IndexLeg* leg : legs_) {
    if (entry.sequence <= leg->applied()) continue;
    if (absl::Status status =
            leg->Delete(entry.removed_first_chunk, entry.removed_chunk_count);
        !status.ok()) {
      return status;
    }
    if (document.has_value()) {
      if (absl::Status status = leg->Add(snapshot, *document); !status.ok()) {
        return status;
      }
    }
    leg->set_applied(entry.sequence);
  }
  return absl::OkStatus();
}

absl::Status IndexWriter::Rebuild(IndexLeg& leg, const StoreSnapshot& snapshot,
                                  Sequence last, const std::stop_token& stop) {
  if (absl::Status status = leg.Reset(); !status.ok()) return status;
  leg.set_rebuilding(true);
  absl::Status added;
  absl::Status scanned =
      snapshot.ForEachDocument(collection_, [&](const DocumentInfo& document) {
        added = stop.stop_requested() ? Stopped() : leg.Add(snapshot, document);
        return added.ok();
      });
  if (!scanned.ok()) return scanned;
  if (!added.ok()) return added;
  leg.set_rebuilding(false);
  leg.set_applied(last);
  if (absl::Status status = leg.Publish(last); !status.ok()) return status;
  return leg.Commit(last);
}

std::vector<std::string> IndexWriter::Verify(
    absl::Span<const ChunkId> store,
    absl::FunctionRef<void(absl::string_view, absl::Status)> damaged) const {
  std::vector<std::string> names;
  for (const IndexLeg* leg : legs_) {
    absl::Status status = leg->Verify();
    if (status.ok()) {
      const absl::StatusOr<std::vector<ChunkId>> chunks = leg->Chunks();
      status = chunks.ok() ? CompareChunks(store, *chunks) : chunks.status();
    }
    if (status.ok()) continue;
    names.emplace_back(leg->name());
    damaged(leg->name(), status);
  }
  return names;
}

absl::Status IndexWriter::Discard(absl::Span<const std::string> names) {
  checked_ = false;
  for (IndexLeg* leg : legs_) {
    if (std::find(names.begin(), names.end(), leg->name()) == names.end()) {
      continue;
    }
    if (absl::Status status = leg->Reset(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status IndexWriter::Commit() {
  for (IndexLeg* leg : legs_) {
    if (leg->rebuilding()) continue;
    if (absl::Status status = leg->Commit(leg->applied()); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

bool IndexWriter::CommitDue() const {
  return lexical_->CommitDue() || dense_->CommitDue();
}

Sequence IndexWriter::committed() const {
  return std::min(lexical_->committed(), dense_->committed());
}

}  // namespace braid::retrieval
