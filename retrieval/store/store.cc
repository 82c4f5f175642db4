#include "retrieval/store/store.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "retrieval/store/database.h"
#include "retrieval/store/history.h"
#include "retrieval/store/keys.h"
#include "retrieval/store/records.h"
#include "retrieval/store/snapshot.h"
#include "retrieval/store/verify.h"
#include "retrieval/store/write_batch.h"

namespace braid::retrieval {
namespace {

constexpr uint32_t kMaxDimension = 1 << 16;
// Past states that are forgotten in one write.
constexpr size_t kForgetBatch = 256;
// Log entries that are deleted in one write.
constexpr Sequence kTruncateBatch = 4096;

// The wall clock as it was when this was called and the time since by the
// steady one: a wall clock that is set meanwhile makes nothing older.
std::function<absl::Time()> SinceNow() {
  return [wall = absl::Now(), begin = std::chrono::steady_clock::now()] {
    return wall + absl::FromChrono(std::chrono::steady_clock::now() - begin);
  };
}

class RocksStore : public Store {
 public:
  RocksStore(std::shared_ptr<Database> database, const StoreOptions& options)
      : database_(std::move(database)),
        clock_(options.clock ? options.clock : absl::Now),
        age_clock_(options.clock ? options.clock : SinceNow()),
        batch_options_{
            .max_request_ids = options.max_request_ids,
            .keep_history = options.history_retention > absl::ZeroDuration()},
        history_retention_(options.history_retention),
        max_history_bytes_(options.max_history_bytes) {}

  ~RocksStore() override { CloseWaiters(); }

  // Checks the format and reads the newest sequences; called once, by Open.
  absl::Status Load(const std::string& directory) {
    const auto global = database_->GetRecord<braid::store::GlobalRecord>(
        nullptr, kMeta, keys::Global());
    if (!global.ok()) return global.status();
    if (global->has_value() && (*global)->format() != kFormat) {
      return OtherVersion(directory);
    }
    absl::StatusOr<std::vector<CollectionConfig>> collections =
        ListCollections();
    if (!collections.ok()) return collections.status();
    const DatabaseSnapshot now(database_);
    for (const CollectionConfig& config : *collections) {
      absl::StatusOr<CollectionCounters> counters = now.Counters(config.id);
      if (!counters.ok()) return counters.status();
      newest_[config.id] = counters->last_sequence;
    }
    return absl::OkStatus();
  }

  absl::Status CreateCollection(const CollectionConfig& config) override {
    if (absl::Status status = ValidateCollection(config); !status.ok()) {
      return status;
    }
    const std::lock_guard<std::mutex> lock(writer_);
    const std::string key = keys::Collection(config.id);
    auto existing = database_->GetRecord<braid::store::CollectionRecord>(
        nullptr, kMeta, key);
    if (!existing.ok()) return existing.status();
    if (existing->has_value()) {
      return absl::AlreadyExistsError(
          absl::StrCat("collection \"", config.id, "\" is there already"));
    }
    auto stored = database_->GetRecord<braid::store::GlobalRecord>(
        nullptr, kMeta, keys::Global());
    if (!stored.ok()) return stored.status();
    braid::store::GlobalRecord global =
        stored->value_or(braid::store::GlobalRecord());
    global.set_last_collection(global.last_collection() + 1);
    global.set_format(kFormat);
    CollectionConfig complete = config;
    if (complete.create_time == absl::Time()) complete.create_time = clock_();
    const braid::store::CollectionRecord record =
        ToRecord(complete, global.last_collection());
    rocksdb::WriteBatch batch;
    batch.Put(database_->family(kMeta), key, record.SerializeAsString());
    batch.Put(database_->family(kMeta), keys::Counters(record.number()),
              braid::store::CountersRecord().SerializeAsString());
    batch.Put(database_->family(kMeta), keys::Global(),
              global.SerializeAsString());
    if (absl::Status status = Write(&batch); !status.ok()) return status;
    Announce(config.id, 0);
    return absl::OkStatus();
  }

  absl::StatusOr<CollectionConfig> GetCollection(
      absl::string_view collection) const override {
    auto record = FindCollection(collection);
    if (!record.ok()) return record.status();
    return FromRecord(*record);
  }

  absl::StatusOr<std::vector<CollectionConfig>> ListCollections()
      const override {
    std::vector<CollectionConfig> collections;
    const std::string prefix = keys::CollectionPrefix();
    const std::unique_ptr<rocksdb::Iterator> iterator(
        database_->db()->NewIterator(rocksdb::ReadOptions(),
                                     database_->family(kMeta)));
    for (iterator->Seek(prefix);
         iterator->Valid() && iterator->key().starts_with(prefix);
         iterator->Next()) {
      braid::store::CollectionRecord record;
      if (!record.ParseFromArray(iterator->value().data(),
                                 static_cast<int>(iterator->value().size()))) {
        return absl::DataLossError(
            absl::StrCat("the store holds a broken record of collection ",
                         iterator->key().ToString().substr(prefix.size())));
      }
      collections.push_back(FromRecord(record));
    }
    if (!iterator->status().ok()) {
      return FromRocksDb(iterator->status(), "reading the collections");
    }
    return collections;
  }

  absl::Status DeleteCollection(absl::string_view collection) override {
    const std::lock_guard<std::mutex> lock(writer_);
    const auto record = FindCollection(collection);
    if (!record.ok()) return record.status();
    const std::string begin = keys::Prefix(record->number());
    const std::string end = keys::Prefix(record->number() + 1);
    rocksdb::WriteBatch batch;
    batch.Delete(database_->family(kMeta), keys::Collection(collection));
    batch.Delete(database_->family(kMeta), keys::Counters(record->number()));
    for (const Family family : {kDocuments, kTexts, kChunks, kVectors, kLog,
                                kRequests, kHistory, kRetired, kReadable}) {
      batch.DeleteRange(database_->family(family), begin, end);
    }
    if (absl::Status status = Write(&batch); !status.ok()) return status;
    const std::lock_guard<std::mutex> waiters(waiters_);
    if (auto newest = newest_.find(collection); newest != newest_.end()) {
      newest_.erase(newest);
    }
    written_.notify_all();
    return absl::OkStatus();
  }

  std::vector<absl::StatusOr<WriteResult>> PutDocuments(
      absl::string_view collection, absl::Span<const DocumentWrite> documents,
      bool force) override {
    std::vector<absl::StatusOr<WriteResult>> results;
    results.reserve(documents.size());
    const std::lock_guard<std::mutex> lock(writer_);
    absl::StatusOr<CollectionBatch> batch =
        CollectionBatch::Begin(database_.get(), collection, batch_options_);
    if (!batch.ok()) {
      results.assign(documents.size(), batch.status());
      return results;
    }
    const absl::Time now = clock_();
    for (const DocumentWrite& document : documents) {
      results.push_back(batch->Put(document, force, now));
    }
    if (absl::Status status = batch->Commit(); !status.ok()) {
      for (absl::StatusOr<WriteResult>& result : results) {
        if (result.ok()) result = status;
      }
      return results;
    }
    Announce(collection, batch->last_sequence());
    return results;
  }

  absl::StatusOr<std::optional<WriteResult>> FindRequest(
      absl::string_view collection,
      absl::string_view request_id) const override {
    const auto record = FindCollection(collection);
    if (!record.ok()) return record.status();
    auto request = database_->GetRecord<braid::store::RequestRecord>(
        nullptr, kRequests, keys::Request(record->number(), request_id));
    if (!request.ok()) return request.status();
    if (!request->has_value()) return std::optional<WriteResult>();
    return std::optional<WriteResult>(FromRecord(**request));
  }

  absl::StatusOr<Sequence> DeleteDocument(absl::string_view collection,
                                          absl::string_view id) override {
    const std::lock_guard<std::mutex> lock(writer_);
    absl::StatusOr<CollectionBatch> batch =
        CollectionBatch::Begin(database_.get(), collection, batch_options_);
    if (!batch.ok()) return batch.status();
    absl::StatusOr<Sequence> sequence = batch->Delete(id, clock_());
    if (!sequence.ok()) return sequence;
    if (absl::Status status = batch->Commit(); !status.ok()) return status;
    Announce(collection, batch->last_sequence());
    return sequence;
  }

  absl::StatusOr<DeleteResult> DeleteDocuments(
      absl::string_view collection, absl::Span<const std::string> ids,
      const std::function<bool(const DocumentInfo&)>& matches) override {
    const std::lock_guard<std::mutex> lock(writer_);
    absl::StatusOr<CollectionBatch> batch =
        CollectionBatch::Begin(database_.get(), collection, batch_options_);
    if (!batch.ok()) return batch.status();
    DeleteResult result;
    for (const std::string& id : ids) {
      const absl::StatusOr<DocumentInfo> document = batch->Find(id);
      if (absl::IsNotFound(document.status())) continue;
      if (!document.ok()) return document.status();
      if (!matches(*document)) continue;
      const absl::StatusOr<Sequence> sequence = batch->Delete(id, clock_());
      if (!sequence.ok()) return sequence.status();
      result.sequence = *sequence;
      ++result.deleted;
    }
    if (result.deleted == 0) return result;
    if (absl::Status status = batch->Commit(); !status.ok()) return status;
    Announce(collection, batch->last_sequence());
    return result;
  }

  absl::StatusOr<PatchResult> PatchMetadata(
      absl::string_view collection, absl::string_view id,
      const MetadataPatch& patch) override {
    const std::lock_guard<std::mutex> lock(writer_);
    absl::StatusOr<CollectionBatch> batch =
        CollectionBatch::Begin(database_.get(), collection, batch_options_);
    if (!batch.ok()) return batch.status();
    absl::StatusOr<PatchResult> result = batch->Patch(id, patch, clock_());
    if (!result.ok() || !result->changed) return result;
    if (absl::Status status = batch->Commit(); !status.ok()) return status;
    Announce(collection, batch->last_sequence());
    return result;
  }

  absl::StatusOr<StoreReport> Verify(
      const std::stop_token& stop,
      const VerifyWatcher& progress) const override {
    return VerifyStore(database_, stop, progress);
  }

  absl::Status Checkpoint(const std::string& directory) const override {
    return database_->Checkpoint(directory);
  }

  std::shared_ptr<const StoreSnapshot> snapshot() const override {
    return std::make_shared<DatabaseSnapshot>(database_);
  }

  Sequence WaitForWrite(
      absl::string_view collection, Sequence after,
      std::chrono::steady_clock::time_point deadline) const override {
    std::unique_lock<std::mutex> lock(waiters_);
    const uint64_t interrupts = interrupts_;
    for (;;) {
      const auto newest = newest_.find(collection);
      if (newest == newest_.end()) return 0;
      if (newest->second > after || closed_ || interrupts != interrupts_ ||
          std::chrono::steady_clock::now() >= deadline) {
        return newest->second;
      }
      written_.wait_until(lock, deadline);
    }
  }

  void InterruptWaiters() override {
    const std::lock_guard<std::mutex> lock(waiters_);
    ++interrupts_;
    written_.notify_all();
  }

  void CloseWaiters() override {
    const std::lock_guard<std::mutex> lock(waiters_);
    closed_ = true;
    written_.notify_all();
  }

  absl::Status TrimHistory(const std::stop_token& stop) override {
    const absl::StatusOr<std::vector<CollectionConfig>> collections =
        ListCollections();
    if (!collections.ok()) return collections.status();
    const HistoryLimits limits{
        .ended_before = age_clock_() - history_retention_,
        .max_bytes = max_history_bytes_};
    for (const CollectionConfig& config : *collections) {
      Sequence after = 0;
      for (size_t forgotten = kForgetBatch; forgotten == kForgetBatch;) {
        if (stop.stop_requested()) return absl::OkStatus();
        // Given back between the batches: writes go on.
        const std::lock_guard<std::mutex> lock(writer_);
        const auto record = FindCollection(config.id);
        if (absl::IsNotFound(record.status())) break;  // deleted meanwhile
        if (!record.ok()) return record.status();
        const absl::StatusOr<size_t> some =
            ForgetPastStates(*database_, *record, limits, kForgetBatch, &after);
        if (!some.ok()) return some.status();
        forgotten = *some;
      }
    }
    return absl::OkStatus();
  }

  absl::Status TruncateLog(absl::string_view collection,
                           Sequence through) override {
    const std::lock_guard<std::mutex> lock(writer_);
    const auto record = FindCollection(collection);
    if (!record.ok()) return record.status();
    const std::string key = keys::Counters(record->number());
    auto counters =
        database_->GetRecord<braid::store::CountersRecord>(nullptr, kMeta, key);
    if (!counters.ok()) return counters.status();
    if (!counters->has_value()) return absl::OkStatus();
    braid::store::CountersRecord& changed = **counters;
    through = std::min<Sequence>(through, changed.last_sequence());
    // One by one: a range that is deleted again and again from its growing
    // begin slows down every read of the log until it is compacted.
    while (changed.truncated_through() < through) {
      const Sequence begin = changed.truncated_through() + 1;
      const Sequence end = std::min(through, begin + kTruncateBatch - 1);
      rocksdb::WriteBatch batch;
      for (Sequence sequence = begin; sequence <= end; ++sequence) {
        batch.Delete(database_->family(kLog),
                     keys::Numbered(record->number(), sequence));
      }
      changed.set_truncated_through(end);
      batch.Put(database_->family(kMeta), key, changed.SerializeAsString());
      // Not synced: entries that come back after a power cut do no harm.
      if (absl::Status status =
              database_->Write(&batch, /*sync=*/false, "truncating the log");
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<braid::store::CollectionRecord> FindCollection(
      absl::string_view collection) const {
    auto record = database_->GetRecord<braid::store::CollectionRecord>(
        nullptr, kMeta, keys::Collection(collection));
    if (!record.ok()) return record.status();
    if (!record->has_value()) {
      return absl::NotFoundError(
          absl::StrCat("there is no collection \"", collection, "\""));
    }
    return **record;
  }

  absl::Status Write(rocksdb::WriteBatch* batch) {
    return database_->Write(batch, /*sync=*/true, "writing to the store");
  }

  void Announce(absl::string_view collection, Sequence sequence) {
    const std::lock_guard<std::mutex> lock(waiters_);
    newest_[std::string(collection)] = sequence;
    written_.notify_all();
  }

  const std::shared_ptr<Database> database_;
  const std::function<absl::Time()> clock_;      // of what is written
  const std::function<absl::Time()> age_clock_;  // what its age is told by
  const BatchOptions batch_options_;
  const absl::Duration history_retention_;
  const uint64_t max_history_bytes_;

  // One writer: counters are read, changed and written back under it, so
  // sequences, chunk ids and versions follow the order of the commits.
  std::mutex writer_;

  mutable std::mutex waiters_;
  mutable std::condition_variable written_;
  // Newest sequence by collection; under waiters_.
  std::map<std::string, Sequence, std::less<>> newest_;
  bool closed_ = false;      // under waiters_
  uint64_t interrupts_ = 0;  // under waiters_
};

}  // namespace

absl::Status ValidateCollection(const CollectionConfig& config) {
  const std::string& id = config.id;
  const bool valid =
      !id.empty() && id.size() <= 63 && absl::ascii_islower(id[0]) &&
      std::all_of(id.begin(), id.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      });
  if (!valid) {
    return absl::InvalidArgumentError(
        "collection_id: must be 1 to 63 of a-z, 0-9 and -, and begin with a "
        "letter");
  }
  if (config.dimension == 0 || config.dimension > kMaxDimension) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dimension: is ", config.dimension, ", not 1 to ", kMaxDimension));
  }
  if (config.language.empty()) {
    return absl::InvalidArgumentError("language: is empty");
  }
  if (config.chunking.max_tokens == 0) {
    return absl::InvalidArgumentError("chunking.max_tokens: is 0");
  }
  if (config.chunking.overlap_tokens > config.chunking.max_tokens / 2) {
    return absl::InvalidArgumentError(
        "chunking.overlap_tokens: is more than half of max_tokens");
  }
  if (config.chunking.parent_tokens != 0 &&
      config.chunking.parent_tokens < config.chunking.max_tokens) {
    return absl::InvalidArgumentError(
        "chunking.parent_tokens: is less than max_tokens");
  }
  return absl::OkStatus();
}

absl::Status CheckReaders(const CollectionConfig& config,
                          absl::Span<const std::string> readers) {
  if (config.document_access || readers.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "readers: collection \"", config.id,
      "\" was made without document access: whoever may read it reads all of "
      "it, whatever its documents say"));
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(
    const std::string& directory, const StoreOptions& options) {
  absl::StatusOr<std::shared_ptr<Database>> database =
      Database::Open(directory, options);
  if (!database.ok()) return database.status();
  auto store = std::make_unique<RocksStore>(*std::move(database), options);
  if (absl::Status status = store->Load(directory); !status.ok()) return status;
  return store;
}

}  // namespace braid::retrieval
