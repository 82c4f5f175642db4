// The store: documents, chunks, vectors and the operation log in RocksDB. The
// only source of truth; both indexes are derived from it.
#ifndef BRAID_RETRIEVAL_STORE_STORE_H_
#define BRAID_RETRIEVAL_STORE_STORE_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "retrieval/types.h"

namespace rocksdb {
class Env;
}

namespace braid::retrieval {

// A document ready to be written: parsed, cut and embedded.
struct DocumentWrite {
  std::string id;
  std::string title;
  std::string text;  // UTF-8
  std::string media_type;
  std::string content_hash;
  // Of all that was given to be parsed; empty for a document given as text. One
  // that comes again need not be parsed.
  std::string source_fingerprint;
  Metadata metadata;
  // DocumentInfo's, in any order; must be empty in a collection without
  // document_access.
  std::vector<std::string> readers;
  std::vector<ChunkSpan> chunks;
  std::vector<float> vectors;  // [chunks.size(), dimension]
  std::string request_id;      // empty for none
};

enum class WriteOutcome { kCreated, kReplaced, kUnchanged };

struct WriteResult {
  WriteOutcome outcome = WriteOutcome::kCreated;
  uint64_t version = 0;
  Sequence sequence = 0;
  uint32_t chunk_count = 0;
};

// A change of a document's metadata and readers alone: its text, chunks and
// version stay.
struct MetadataPatch {
  Metadata set;                     // added, or in place of what is there
  std::vector<std::string> remove;  // keys; one that is not there is ignored
  // FAILED_PRECONDITION if the document had more keys than this afterwards.
  size_t max_keys = 256;
  // In place of those that are there; nothing: they stay.
  std::optional<std::vector<std::string>> readers;
};

struct PatchResult {
  DocumentInfo document;  // after the patch
  // A search that waits for it sees the patch.
  Sequence sequence = 0;
  bool changed = false;
};

struct DeleteResult {
  uint64_t deleted = 0;
  Sequence sequence = 0;  // of the last delete; 0 if there was none
};

// What a check of the whole store found.
struct StoreReport {
  struct Damage {
    std::string collection;  // empty: of the whole store
    std::string document;    // empty: not of one document
    std::string what;        // with the file, where RocksDB names it
  };
  uint64_t files = 0;      // whose checksum was compared
  uint64_t documents = 0;  // that could be read whole
  uint64_t chunks = 0;     // of these
  // The first 1,000, then only counted.
  std::vector<Damage> damage;
  uint64_t damage_count = 0;
  bool whole() const { return damage_count == 0; }
};

// How far a check of the whole store is.
struct VerifyProgress {
  uint64_t documents = 0;  // read, and whole
  uint64_t damaged = 0;    // documents that are not
  uint64_t total = 0;      // documents there are
};
// Called now and then, from the thread that checks.
using VerifyWatcher = std::function<void(const VerifyProgress&)>;

// One entry of the operation log.
struct LogEntry {
  enum class Kind { kPut, kDelete, kPatch };
  Sequence sequence = 0;
  Kind kind = Kind::kPut;
  std::string document_id;
  uint64_t version = 0;
  ChunkId first_chunk = 0;  // chunks this version brought (kPut)
  uint32_t chunk_count = 0;
  ChunkId removed_first_chunk = 0;   // chunks of the version it replaced or
  uint32_t removed_chunk_count = 0;  // deleted
};

struct CollectionCounters {
  uint64_t documents = 0;
  uint64_t chunks = 0;
  Sequence last_sequence = 0;  // newest log entry of this collection; 0 if none
  Sequence oldest_sequence = 0;  // oldest at which documents can be read
};

// Some of the documents that were there at a sequence.
struct DocumentsAt {
  std::vector<DocumentInfo> documents;  // by id
  size_t seen = 0;                      // ids that were looked at
  std::string last;                     // of these the last
  bool complete = false;                // there are no ids after it
};

// A document, and the chunks it has now.
struct ReadableDocument {
  std::string id;
  ChunkId first_chunk = 0;
  uint32_t chunk_count = 0;
};

struct StoreOptions {
  rocksdb::Env* env = nullptr;        // null: the process's file system
  std::function<absl::Time()> clock;  // null: absl::Now
  size_t block_cache_bytes = 32 << 20;
  // Request ids remembered per collection.
  uint64_t max_request_ids = 100000;
  // How long what was replaced, patched or deleted can still be read. 0: not at
  // all.
  absl::Duration history_retention = absl::Hours(24);
  // Of that at most so much per collection: texts and records, uncompressed.
  uint64_t max_history_bytes = uint64_t{1} << 30;
  // Opens a store whose write-ahead log is damaged before its tail up to the
  // last intact write, instead of failing with DATA_LOSS. Loses what came
  // after: for an operator to ask for, never a default.
  bool recover_to_last_intact_write = false;
  // Changes nothing on the disk; every write fails. Reads what can be read, as
  // if recover_to_last_intact_write was set: for looking at a damaged store.
  bool read_only = false;
};

// A consistent, immutable view of the store. Thread-safe. Holding one keeps
// old data from being compacted away: release it when the request ends.
class StoreSnapshot {
 public:
  virtual ~StoreSnapshot() = default;

  // NOT_FOUND if there is no such document.
  virtual absl::StatusOr<DocumentInfo> GetDocument(
      absl::string_view collection, absl::string_view id) const = 0;
  // The document's whole text.
  virtual absl::StatusOr<std::string> GetText(absl::string_view collection,
                                              absl::string_view id) const = 0;
  // Bytes of the text of `document`, which this snapshot returned; reads only
  // what is asked for. OUT_OF_RANGE if `range` is not inside the text.
  virtual absl::StatusOr<std::string> GetTextRange(
      absl::string_view collection, const DocumentInfo& document,
      const ByteRange& range) const = 0;
  // The document as it was at `sequence`; GetTextRange reads its text, its
  // chunks are gone. NOT_FOUND if it was not there; OUT_OF_RANGE if the
  // sequence is no longer kept (the oldest that is, is named) or not yet given.
  virtual absl::StatusOr<DocumentInfo> GetDocumentAt(
      absl::string_view collection, absl::string_view id,
      Sequence sequence) const = 0;
  // A version of the document, with the metadata that it had in the end.
  // NOT_FOUND if there was none; OUT_OF_RANGE if it is no longer kept.
  virtual absl::StatusOr<DocumentInfo> GetDocumentVersion(
      absl::string_view collection, absl::string_view id,
      uint64_t version) const = 0;
  // Looks at the next `limit` ids above `after`. OUT_OF_RANGE as GetDocumentAt.
  virtual absl::StatusOr<DocumentsAt> ListDocumentsAt(
      absl::string_view collection, Sequence sequence, absl::string_view after,
      size_t limit) const = 0;
  // Documents with an id above `after`, ascending, at most `limit`.
  virtual absl::StatusOr<std::vector<DocumentInfo>> ListDocuments(
      absl::string_view collection, absl::string_view after,
      size_t limit) const = 0;
  // Calls `visit` for every document in id order until it returns false.
  // UNAVAILABLE in the end if there are not as many as the store has counted.
  virtual absl::Status ForEachDocument(
      absl::string_view collection,
      const std::function<bool(const DocumentInfo&)>& visit) const = 0;
  // Calls `visit` for every document whose readers name `reader`, by id from
  // the first above `after`, until it returns false. Looks at no other
  // document.
  virtual absl::Status ForEachReadable(
      absl::string_view collection, absl::string_view reader,
      absl::string_view after,
      const std::function<bool(const ReadableDocument&)>& visit) const = 0;
  // The readers that the document has or, where it was deleted, had in the end.
  // NOT_FOUND if there never was one.
  virtual absl::StatusOr<std::vector<std::string>> GetReaders(
      absl::string_view collection, absl::string_view id) const = 0;
  virtual absl::StatusOr<std::vector<Chunk>> GetChunks(
      absl::string_view collection, const DocumentInfo& document) const = 0;
  // One passage per id, in order; a chunk that is not there is left out.
  virtual absl::StatusOr<std::vector<Passage>> GetPassages(
      absl::string_view collection, absl::Span<const ChunkId> chunks) const = 0;
  // The vectors of `count` chunks from `first`, [count, dimension].
  // DATA_LOSS if one is missing.
  virtual absl::StatusOr<std::vector<float>> GetVectors(
      absl::string_view collection, ChunkId first, uint32_t count) const = 0;
  // Ids of all live chunks, ascending. UNAVAILABLE as for ForEachDocument.
  virtual absl::StatusOr<std::vector<ChunkId>> ListChunks(
      absl::string_view collection) const = 0;
  virtual absl::StatusOr<CollectionCounters> Counters(
      absl::string_view collection) const = 0;
  // Log entries with a sequence above `after`, ascending, at most `limit`.
  // UNAVAILABLE if some are missing in between or at the end.
  // OUT_OF_RANGE if entries above `after` have been truncated: the caller
  // rebuilds from the documents instead.
  virtual absl::StatusOr<std::vector<LogEntry>> ReadLog(
      absl::string_view collection, Sequence after, size_t limit) const = 0;
};

// INVALID_ARGUMENT naming the first field that is wrong. The language is only
// checked for being there: the lexical index knows which ones it has.
absl::Status ValidateCollection(const CollectionConfig& config);

// INVALID_ARGUMENT if there are readers, and the collection does not ask for
// them: somebody takes a document for protected that is not.
absl::Status CheckReaders(const CollectionConfig& config,
                          absl::Span<const std::string> readers);

// Thread-safe. Every write is one atomic RocksDB batch with its log entry and
// returns after the write-ahead log is synced: what returned OK survives a
// crash and a power cut.
class Store {
 public:
  virtual ~Store() = default;

  // Opens the store in `directory`, creating it. UNAVAILABLE if another process
  // has it open; FAILED_PRECONDITION if another version of Braid made it;
  // DATA_LOSS if it is corrupt, or was closed in order and is not what it was
  // (seal.h). It stays open (and locked) until all its snapshots are gone, too.
  static absl::StatusOr<std::unique_ptr<Store>> Open(
      const std::string& directory, const StoreOptions& options);

  // ALREADY_EXISTS if it is there; INVALID_ARGUMENT naming the field. A
  // create_time of 0 is set by the clock.
  virtual absl::Status CreateCollection(const CollectionConfig& config) = 0;
  virtual absl::StatusOr<CollectionConfig> GetCollection(
      absl::string_view collection) const = 0;
  // By id.
  virtual absl::StatusOr<std::vector<CollectionConfig>> ListCollections()
      const = 0;
  // Deletes the collection and everything in it.
  virtual absl::Status DeleteCollection(absl::string_view collection) = 0;

  // Writes documents, each with its own log entry and sequence, in one synced
  // batch. One result per document, in order: a document that is refused does
  // not stop the others. kUnchanged when the stored content_hash, title,
  // metadata and readers are the same and `force` is false. A `request_id` seen
  // before (the last 100,000 per collection are kept) returns its first result.
  // Versions count from 1 and go on after a delete: (id, version) never names
  // two texts. INVALID_ARGUMENT for an id that is empty, over 512 bytes or not
  // UTF-8, a chunk outside the text, vectors of the wrong size, or readers
  // where the collection has no document_access.
  virtual std::vector<absl::StatusOr<WriteResult>> PutDocuments(
      absl::string_view collection, absl::Span<const DocumentWrite> documents,
      bool force) = 0;
  // The result of an earlier write with this request_id, if there is one.
  virtual absl::StatusOr<std::optional<WriteResult>> FindRequest(
      absl::string_view collection, absl::string_view request_id) const = 0;
  // Returns the sequence of the delete. NOT_FOUND if it is not there.
  virtual absl::StatusOr<Sequence> DeleteDocument(absl::string_view collection,
                                                  absl::string_view id) = 0;

  // Deletes those of the documents `ids` that are there and that `matches`
  // accepts as they are now, each with its own log entry, all in one synced
  // batch. For many documents, call it again and again with some hundreds.
  virtual absl::StatusOr<DeleteResult> DeleteDocuments(
      absl::string_view collection, absl::Span<const std::string> ids,
      const std::function<bool(const DocumentInfo&)>& matches) = 0;
  // Changes metadata and readers with one log entry, without a new version:
  // (id, version) names a text, and the text stays. NOT_FOUND if there is no
  // such document; INVALID_ARGUMENT for readers as PutDocuments.
  virtual absl::StatusOr<PatchResult> PatchMetadata(
      absl::string_view collection, absl::string_view id,
      const MetadataPatch& patch) = 0;

  // Compares every file with its checksum, reads every record, and checks that
  // documents, texts, chunks, vectors, counters and log fit each other. Writes
  // may go on meanwhile. An error only if it could not run (CANCELLED).
  // `progress` may be null.
  virtual absl::StatusOr<StoreReport> Verify(
      const std::stop_token& stop, const VerifyWatcher& progress) const = 0;
  // Makes `directory`, which must not exist on the same file system, a complete
  // store as of one moment, by hard links: fast, and safe while writes go on.
  virtual absl::Status Checkpoint(const std::string& directory) const = 0;

  virtual std::shared_ptr<const StoreSnapshot> snapshot() const = 0;

  // Blocks until the collection's newest sequence is above `after`, or until
  // `deadline`, or until CloseWaiters; returns the newest sequence. Returns 0
  // at once if there is no such collection (any more).
  virtual Sequence WaitForWrite(
      absl::string_view collection, Sequence after,
      std::chrono::steady_clock::time_point deadline) const = 0;
  // Wakes those who wait now: they return as at their deadline.
  virtual void InterruptWaiters() = 0;
  // Wakes all waiters, now and from now on.
  virtual void CloseWaiters() = 0;
  // Forgets what is past its history_retention, and the oldest of what is above
  // max_history_bytes. To be called now and then. Goes on where it was when
  // `stop` ended it early.
  virtual absl::Status TrimHistory(const std::stop_token& stop) = 0;
  // Drops log entries up to `through`: both indexes have them durably.
  virtual absl::Status TruncateLog(absl::string_view collection,
                                   Sequence through) = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_STORE_H_
