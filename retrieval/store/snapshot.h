// Reads of the store at one moment.
#ifndef BRAID_RETRIEVAL_STORE_SNAPSHOT_H_
#define BRAID_RETRIEVAL_STORE_SNAPSHOT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "retrieval/store/database.h"
#include "retrieval/store/keys.h"
#include "retrieval/store/record.pb.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

class DatabaseSnapshot : public StoreSnapshot {
 public:
  explicit DatabaseSnapshot(std::shared_ptr<const Database> database);
  ~DatabaseSnapshot() override;

  absl::StatusOr<DocumentInfo> GetDocument(absl::string_view collection,
                                           absl::string_view id) const override;
  absl::StatusOr<std::string> GetText(absl::string_view collection,
                                      absl::string_view id) const override;
  absl::StatusOr<std::string> GetTextRange(
      absl::string_view collection, const DocumentInfo& document,
      const ByteRange& range) const override;
  absl::StatusOr<DocumentInfo> GetDocumentAt(absl::string_view collection,
                                             absl::string_view id,
                                             Sequence sequence) const override;
  absl::StatusOr<DocumentInfo> GetDocumentVersion(
      absl::string_view collection, absl::string_view id,
      uint64_t version) const override;
  absl::StatusOr<DocumentsAt> ListDocumentsAt(absl::string_view collection,
                                              Sequence sequence,
                                              absl::string_view after,
                                              size_t limit) const override;
  absl::StatusOr<std::vector<DocumentInfo>> ListDocuments(
      absl::string_view collection, absl::string_view after,
      size_t limit) const override;
  absl::Status ForEachDocument(
      absl::string_view collection,
      const std::function<bool(const DocumentInfo&)>& visit) const override;
  absl::Status ForEachReadable(
      absl::string_view collection, absl::string_view reader,
      absl::string_view after,
      const std::function<bool(const ReadableDocument&)>& visit) const override;
  absl::StatusOr<std::vector<std::string>> GetReaders(
      absl::string_view collection, absl::string_view id) const override;
  absl::StatusOr<std::vector<Chunk>> GetChunks(
      absl::string_view collection,
      const DocumentInfo& document) const override;
  absl::StatusOr<std::vector<Passage>> GetPassages(
      absl::string_view collection,
      absl::Span<const ChunkId> chunks) const override;
  absl::StatusOr<std::vector<float>> GetVectors(absl::string_view collection,
                                                ChunkId first,
                                                uint32_t count) const override;
  absl::StatusOr<std::vector<ChunkId>> ListChunks(
      absl::string_view collection) const override;
  absl::StatusOr<CollectionCounters> Counters(
      absl::string_view collection) const override;
  absl::StatusOr<std::vector<LogEntry>> ReadLog(absl::string_view collection,
                                                Sequence after,
                                                size_t limit) const override;

  // The moment it shows, for as long as it lives.
  const rocksdb::Snapshot* moment() const { return snapshot_; }

 private:
  // One piece of text, kept because neighbouring chunks mostly share it.
  struct PieceCache {
    Sequence sequence = 0;
    uint32_t piece = 0;
    std::string bytes;
  };

  absl::StatusOr<braid::store::CollectionRecord> Find(
      absl::string_view collection) const;
  absl::StatusOr<braid::store::CountersRecord> FindCounters(
      keys::CollectionNumber collection) const;
  // Nothing if it is not there (any more).
  absl::StatusOr<std::optional<DocumentInfo>> Current(
      keys::CollectionNumber collection, absl::string_view id) const;
  // OUT_OF_RANGE unless the documents can be read at `sequence`.
  absl::Status CheckSequence(const braid::store::CollectionRecord& collection,
                             Sequence sequence) const;
  absl::StatusOr<DocumentInfo> FindDocument(keys::CollectionNumber collection,
                                            absl::string_view id) const;
  absl::StatusOr<std::string> ReadText(keys::CollectionNumber collection,
                                       const DocumentInfo& document,
                                       const ByteRange& range,
                                       PieceCache* cache) const;
  // Visits the keys of a collection from `start`, which has its prefix, until
  // `visit` returns false.
  absl::Status Scan(
      Family family, keys::CollectionNumber collection,
      const std::string& start,
      const std::function<absl::StatusOr<bool>(
          absl::string_view key, absl::string_view value)>& visit) const;

  const std::shared_ptr<const Database> database_;
  const rocksdb::Snapshot* const snapshot_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_STORE_SNAPSHOT_H_
