// One open RocksDB with its column families.
#ifndef BRAID_RETRIEVAL_STORE_DATABASE_H_
#define BRAID_RETRIEVAL_STORE_DATABASE_H_

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "retrieval/store/store.h"
#include "rocksdb/db.h"
#include "rocksdb/iterator.h"

namespace braid::retrieval {

// What lies where:
//   kMeta       global counters, collections, counters of each collection
//   kDocuments  DocumentInfo by document id
//   kTexts      document texts in pieces of kTextPieceBytes
//   kChunks     chunk spans by chunk id
//   kVectors    little-endian floats by chunk id; not compressed
//   kLog        the operation log by sequence
//   kRequests   results by request id
//   kHistory    states that documents had and have no longer (history.h)
//   kRetired    last version of deleted documents: a document that comes back
//               goes on counting, so (id, version) never names two texts; and
//               the readers it had in the end
//   kReadable   for each reader the documents that name it, by document id;
//               written with the document. Younger than the others: a store
//               that was opened for reading may lack it
enum Family {
  kMeta,
  kDocuments,
  kTexts,
  kChunks,
  kVectors,
  kLog,
  kRequests,
  kHistory,
  kRetired,
  kReadable,
  kFamilyCount,
};

// Of keys and records, in GlobalRecord. Increased when one of them changes in a
// way that another version would misread.
inline constexpr uint32_t kFormat = 1;

// A passage is read without reading all of a long document.
inline constexpr uint64_t kTextPieceBytes = 32 << 10;

// `what` says what was being done.
absl::Status FromRocksDb(const rocksdb::Status& status, absl::string_view what);

// FAILED_PRECONDITION: the records are of another kFormat.
absl::Status OtherVersion(const std::string& directory);

// Thread-safe. Held by the store and by every snapshot, so RocksDB closes (and
// gives its lock back) after the last of them.
class Database {
 public:
  static absl::StatusOr<std::shared_ptr<Database>> Open(
      const std::string& directory, const StoreOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Writes atomically; durable when it returns OK if `sync`. After an error (a
  // full disk) RocksDB refuses all writes: each further one first asks it to go
  // on, and so succeeds as soon as the disk does.
  absl::Status Write(rocksdb::WriteBatch* batch, bool sync,
                     absl::string_view what) const;
  // See Store::Checkpoint.
  absl::Status Checkpoint(const std::string& directory) const;

  rocksdb::DB* db() const { return db_.get(); }
  // Null for kReadable in a store that lacks it, which holds no readers.
  rocksdb::ColumnFamilyHandle* family(Family family) const {
    return families_[family];
  }

  // `snapshot` may be null: the newest state.
  absl::StatusOr<std::optional<rocksdb::PinnableSlice>> Get(
      const rocksdb::Snapshot* snapshot, Family family,
      const std::string& key) const;

  // The record under `key`; nothing if there is none; DATA_LOSS if it does not
  // parse.
  template <typename Record>
  absl::StatusOr<std::optional<Record>> GetRecord(
      const rocksdb::Snapshot* snapshot, Family family,
      const std::string& key) const {
    absl::StatusOr<std::optional<rocksdb::PinnableSlice>> value =
        Get(snapshot, family, key);
    if (!value.ok()) return value.status();
    if (!value->has_value()) return std::optional<Record>();
    std::optional<Record> record(std::in_place);
    if (!record->ParseFromArray((*value)->data(),
                                static_cast<int>((*value)->size()))) {
      return absl::DataLossError(
          absl::StrCat("the store holds a broken ", Record().GetTypeName()));
    }
    return record;
  }

 private:
  Database() = default;

  // Flushes, closes, and seals what is on the disk then.
  void Close();

  // All with failure_mutex_ held.
  rocksdb::Status KeepMemtableFilled() const;
  bool MemtablesAreEmpty() const;
  // After a write has failed: makes further ones possible.
  rocksdb::Status Resume() const;

  mutable std::mutex failure_mutex_;
  // Of the last write; under failure_mutex_.
  mutable rocksdb::Status failure_;
  // A memtable was closed since the last write. RocksDB's threads set it.
  std::shared_ptr<std::atomic<bool>> memtable_sealed_;
  std::string directory_;
  bool read_only_ = false;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> families_{};
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_DATABASE_H_
