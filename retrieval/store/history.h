// States that documents had and have no longer: kept for a while, so that what
// was read at an older sequence, or was cited, can be read again.
//
// A state begins with the log entry that wrote it (a put or a patch) and ends
// with the next one of its document. Its metadata and title are kept in a
// record; its text stays where it is until the version that it belongs to is
// forgotten. Chunks and vectors are not kept: nothing searches the past.
#ifndef BRAID_RETRIEVAL_STORE_HISTORY_H_
#define BRAID_RETRIEVAL_STORE_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retrieval/store/database.h"
#include "retrieval/store/keys.h"
#include "retrieval/store/record.pb.h"
#include "retrieval/store/store.h"
#include "rocksdb/write_batch_base.h"

namespace braid::retrieval {

struct PastState {
  DocumentInfo document;
  Sequence until = 0;  // of the log entry that ended it
  absl::Time end_time;
  // A put or a delete ended it, and its version with it: the text is its own to
  // forget. After a patch the text is still in use.
  bool ends_version = false;
};

// Adds `state` to a batch. Returns the bytes that are kept for it.
uint64_t WritePastState(const Database& database,
                        keys::CollectionNumber collection,
                        const PastState& state, rocksdb::WriteBatchBase* batch);

// Removes a version's text.
void DeleteText(const Database& database, keys::CollectionNumber collection,
                const DocumentInfo& document, rocksdb::WriteBatchBase* batch);

// Visits past states by document id, and those of a document by their end.
class PastStateIterator {
 public:
  // Reads at `snapshot`, which must outlive it.
  PastStateIterator(const Database& database, const rocksdb::Snapshot* snapshot,
                    keys::CollectionNumber collection);

  // Goes to the first state of `id` that ended after `sequence`, or else to the
  // first one of the next id.
  void Seek(absl::string_view id, Sequence sequence);
  // Goes to the first state of the first id above `id`.
  void SeekPast(absl::string_view id);
  void SeekToFirst();
  void Next();

  // At the end, or after an error, it is not valid.
  bool valid() const { return valid_; }
  absl::Status status() const { return status_; }
  const std::string& id() const { return id_; }
  Sequence until() const { return until_; }
  // DATA_LOSS if the record is broken.
  absl::StatusOr<PastState> state() const;

 private:
  void Read();

  const keys::CollectionNumber collection_;
  const std::string upper_bound_;
  const rocksdb::Slice upper_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  bool valid_ = false;
  absl::Status status_;
  std::string id_;
  Sequence until_ = 0;
};

struct HistoryLimits {
  absl::Time ended_before;  // older ones are forgotten
  uint64_t max_bytes = 0;   // the oldest of what is above are forgotten
};

// Forgets at most `limit` states of a collection in one batch; returns how
// many. `after` is the end of the last one that is known to be forgotten, at
// first 0, and is moved on: to step over removed keys takes time. After a crash
// they are gone or there as a whole, and `counters`, which are written with
// them, say what can be read. The caller holds the writer's lock.
absl::StatusOr<size_t> ForgetPastStates(
    const Database& database, const braid::store::CollectionRecord& collection,
    const HistoryLimits& limits, size_t limit, Sequence* after);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_HISTORY_H_
