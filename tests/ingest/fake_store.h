// A store in memory that remembers what was written, for the pipeline's tests.
#ifndef BRAID_TESTS_INGEST_FAKE_STORE_H_
#define BRAID_TESTS_INGEST_FAKE_STORE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

class FakeStore : public Store {
 public:
  explicit FakeStore(CollectionConfig config) : config_(std::move(config)) {}

  struct Stored {
    DocumentInfo info;
    DocumentWrite write;
  };

  absl::Status CreateCollection(const CollectionConfig&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<CollectionConfig> GetCollection(
      absl::string_view collection) const override {
    if (collection != config_.id) return absl::NotFoundError("no collection");
    return config_;
  }
  absl::StatusOr<std::vector<CollectionConfig>> ListCollections()
      const override {
    return std::vector<CollectionConfig>{config_};
  }
  absl::Status DeleteCollection(absl::string_view) override {
    return absl::UnimplementedError("");
  }

  std::vector<absl::StatusOr<WriteResult>> PutDocuments(
      absl::string_view, absl::Span<const DocumentWrite> documents,
      bool force) override {
    if (on_put) on_put(documents);
    absl::MutexLock lock(&mu_);
    ++batches_;
    std::vector<absl::StatusOr<WriteResult>> results;
    for (const DocumentWrite& write : documents) {
      if (write.id == refused_id) {
        results.push_back(absl::DataLossError("disk"));
        continue;
      }
      Stored& stored = documents_[write.id];
      WriteResult result;
      result.outcome = stored.info.version == 0 ? WriteOutcome::kCreated
                                                : WriteOutcome::kReplaced;
      stored.info.id = write.id;
      stored.info.title = write.title;
      stored.info.media_type = write.media_type;
      stored.info.content_hash = write.content_hash;
      stored.info.source_fingerprint = write.source_fingerprint;
      stored.info.metadata = write.metadata;
      stored.info.readers = write.readers;
      stored.info.chunk_count = static_cast<uint32_t>(write.chunks.size());
      result.version = ++stored.info.version;
      result.sequence = stored.info.sequence = ++sequence_;
      result.chunk_count = stored.info.chunk_count;
      stored.write = write;
      forced_ += force;
      if (!write.request_id.empty()) requests_[write.request_id] = result;
      results.push_back(result);
    }
    return results;
  }

  absl::StatusOr<std::optional<WriteResult>> FindRequest(
      absl::string_view, absl::string_view request_id) const override {
    absl::MutexLock lock(&mu_);
    auto found = requests_.find(std::string(request_id));
    if (found == requests_.end()) return std::optional<WriteResult>();
    return std::optional<WriteResult>(found->second);
  }
  absl::StatusOr<Sequence> DeleteDocument(absl::string_view,
                                          absl::string_view) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<DeleteResult> DeleteDocuments(
      absl::string_view, absl::Span<const std::string>,
      const std::function<bool(const DocumentInfo&)>&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<PatchResult> PatchMetadata(absl::string_view,
                                            absl::string_view,
                                            const MetadataPatch&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<StoreReport> Verify(const std::stop_token&,
                                     const VerifyWatcher&) const override {
    return absl::UnimplementedError("");
  }
  absl::Status Checkpoint(const std::string&) const override {
    return absl::UnimplementedError("");
  }
  std::shared_ptr<const StoreSnapshot> snapshot() const override {
    return std::make_shared<Snapshot>(this);
  }
  Sequence WaitForWrite(absl::string_view, Sequence,
                        std::chrono::steady_clock::time_point) const override {
    return 0;
  }
  void InterruptWaiters() override {}
  void CloseWaiters() override {}
  absl::Status TrimHistory(const std::stop_token&) override {
    return absl::UnimplementedError("");
  }
  absl::Status TruncateLog(absl::string_view, Sequence) override {
    return absl::UnimplementedError("");
  }

  std::map<std::string, Stored> documents() const {
    absl::MutexLock lock(&mu_);
    return documents_;
  }
  size_t batches() const {
    absl::MutexLock lock(&mu_);
    return batches_;
  }
  size_t forced() const {
    absl::MutexLock lock(&mu_);
    return forced_;
  }

  std::function<void(absl::Span<const DocumentWrite>)> on_put;
  std::string refused_id;

 private:
  class Snapshot : public StoreSnapshot {
   public:
    explicit Snapshot(const FakeStore* store) : store_(store) {}
    absl::StatusOr<DocumentInfo> GetDocument(
        absl::string_view, absl::string_view id) const override {
      absl::MutexLock lock(&store_->mu_);
      auto found = store_->documents_.find(std::string(id));
      if (found == store_->documents_.end()) {
        return absl::NotFoundError("no document");
      }
      return found->second.info;
    }
    absl::StatusOr<std::string> GetText(absl::string_view,
                                        absl::string_view) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::string> GetTextRange(absl::string_view,
                                             const DocumentInfo&,
                                             const ByteRange&) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<DocumentInfo> GetDocumentAt(absl::string_view,
                                               absl::string_view,
                                               Sequence) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<DocumentInfo> GetDocumentVersion(absl::string_view,
                                                    absl::string_view,
                                                    uint64_t) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<DocumentsAt> ListDocumentsAt(absl::string_view, Sequence,
                                                absl::string_view,
                                                size_t) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<DocumentInfo>> ListDocuments(
        absl::string_view, absl::string_view, size_t) const override {
      return absl::UnimplementedError("");
    }
    absl::Status ForEachDocument(
        absl::string_view,
        const std::function<bool(const DocumentInfo&)>&) const override {
      return absl::UnimplementedError("");
    }
    absl::Status ForEachReadable(
        absl::string_view, absl::string_view, absl::string_view,
        const std::function<bool(const ReadableDocument&)>&) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<std::string>> GetReaders(
        absl::string_view, absl::string_view) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<Chunk>> GetChunks(
        absl::string_view, const DocumentInfo&) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<Passage>> GetPassages(
        absl::string_view, absl::Span<const ChunkId>) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<float>> GetVectors(absl::string_view, ChunkId,
                                                  uint32_t) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<ChunkId>> ListChunks(
        absl::string_view) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<CollectionCounters> Counters(
        absl::string_view) const override {
      return absl::UnimplementedError("");
    }
    absl::StatusOr<std::vector<LogEntry>> ReadLog(absl::string_view, Sequence,
                                                  size_t) const override {
      return absl::UnimplementedError("");
    }

   private:
    const FakeStore* const store_;
  };

  const CollectionConfig config_;
  mutable absl::Mutex mu_;
  std::map<std::string, Stored> documents_;
  std::map<std::string, WriteResult> requests_;
  Sequence sequence_ = 0;
  size_t batches_ = 0;
  size_t forced_ = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_INGEST_FAKE_STORE_H_
