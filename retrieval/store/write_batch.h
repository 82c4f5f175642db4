// The documents of one atomic, synced write to one collection.
#ifndef BRAID_RETRIEVAL_STORE_WRITE_BATCH_H_
#define BRAID_RETRIEVAL_STORE_WRITE_BATCH_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "retrieval/store/database.h"
#include "retrieval/store/record.pb.h"
#include "retrieval/store/store.h"
#include "rocksdb/utilities/write_batch_with_index.h"

namespace braid::retrieval {

struct BatchOptions {
  uint64_t max_request_ids = 0;  // remembered per collection
  bool keep_history = false;     // of what is replaced, patched or deleted
};

// Gathers writes; nothing is in the store until Commit. Reads see the writes
// gathered so far, so one batch may hold the same document or request id twice.
// Not thread-safe: the store holds its writer lock while one is alive.
class CollectionBatch {
 public:
  // NOT_FOUND if there is no such collection.
  static absl::StatusOr<CollectionBatch> Begin(const Database* database,
                                               absl::string_view collection,
                                               const BatchOptions& options);

  // An error leaves the batch as it was.
  absl::StatusOr<WriteResult> Put(const DocumentWrite& write, bool force,
                                  absl::Time now);
  absl::StatusOr<Sequence> Delete(absl::string_view id, absl::Time now);
  absl::StatusOr<PatchResult> Patch(absl::string_view id,
                                    const MetadataPatch& patch, absl::Time now);
  // The document as it is now; NOT_FOUND.
  absl::StatusOr<DocumentInfo> Find(absl::string_view id);

  // Returns after the write-ahead log is synced.
  absl::Status Commit();
  // Newest sequence of the collection, this batch included.
  Sequence last_sequence() const { return counters_.last_sequence(); }

 private:
  CollectionBatch(const Database* database,
                  braid::store::CollectionRecord collection,
                  const BatchOptions& options);

  template <typename Record>
  absl::StatusOr<std::optional<Record>> Read(Family family,
                                             const std::string& key);
  void Write(Family family, const std::string& key, absl::string_view value);
  template <typename Record>
  void WriteRecord(Family family, const std::string& key, const Record& record);

  absl::Status Validate(const DocumentWrite& write) const;
  // Enters `document` under its readers; takes it out under those of `old`.
  void MakeReadable(const DocumentInfo& document,
                    absl::Span<const std::string> old);
  // Removes the chunks and vectors of a version, which the next log entry ends.
  // Its text goes to the past, or goes as well where none is kept.
  void Remove(const DocumentInfo& document, absl::Time now);
  // Makes `document` a past state, which the next log entry ends.
  void Retire(const DocumentInfo& document, absl::Time now, bool ends_version);
  Sequence Log(LogEntry entry);
  absl::Status RememberRequest(const std::string& id,
                               const WriteResult& result);

  const Database* database_;
  braid::store::CollectionRecord collection_;
  BatchOptions options_;
  braid::store::GlobalRecord global_;
  braid::store::CountersRecord counters_;
  std::unique_ptr<rocksdb::WriteBatchWithIndex> batch_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_WRITE_BATCH_H_
