#include "retrieval/store/write_batch.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/store/history.h"
#include "retrieval/store/keys.h"
#include "retrieval/store/records.h"
#include "retrieval/viewer.h"

namespace braid::retrieval {
namespace {

static_assert(std::endian::native == std::endian::little,
              "vectors are stored as they lie in memory");

constexpr size_t kMaxDocumentIdBytes = 512;
constexpr size_t kMaxRequestIdBytes = 512;

// Well-formed UTF-8: no overlong forms, no surrogates, nothing past U+10FFFF.
bool IsUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const uint8_t lead = text[i];
    size_t length = 1;
    uint32_t point = lead;
    if (lead >= 0x80) {
      if (lead < 0xC2 || lead > 0xF4) return false;
      length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      if (text.size() - i < length) return false;
      point = lead & (0x7F >> length);
      for (size_t k = 1; k < length; ++k) {
        const uint8_t byte = text[i + k];
        if ((byte & 0xC0) != 0x80) return false;
        point = point << 6 | (byte & 0x3F);
      }
      if (length == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000)))
        return false;
      if (length == 4 && (point < 0x10000 || point > 0x10FFFF)) return false;
    }
    i += length;
  }
  return true;
}

absl::Status ValidateDocumentId(absl::string_view id) {
  if (id.empty() || id.size() > kMaxDocumentIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("document_id: has ", id.size(), " bytes, not 1 to ",
                     kMaxDocumentIdBytes));
  }
  if (!IsUtf8(id)) {
    return absl::InvalidArgumentError("document_id: is not UTF-8");
  }
  return absl::OkStatus();
}

}  // namespace

CollectionBatch::CollectionBatch(const Database* database,
                                 braid::store::CollectionRecord collection,
                                 const BatchOptions& options)
    : database_(database),
      collection_(std::move(collection)),
      options_(options),
      batch_(std::make_unique<rocksdb::WriteBatchWithIndex>(
          rocksdb::BytewiseComparator(), 0, /*overwrite_key=*/true)) {}

absl::StatusOr<CollectionBatch> CollectionBatch::Begin(
    const Database* database, absl::string_view collection,
    const BatchOptions& options) {
  auto record = database->GetRecord<braid::store::CollectionRecord>(
      nullptr, kMeta, keys::Collection(collection));
  if (!record.ok()) return record.status();
  if (!record->has_value()) {
    return absl::NotFoundError(
        absl::StrCat("there is no collection \"", collection, "\""));
  }
  CollectionBatch batch(database, **record, options);
  auto global = database->GetRecord<braid::store::GlobalRecord>(nullptr, kMeta,
                                                                keys::Global());
  if (!global.ok()) return global.status();
  batch.global_ = global->value_or(braid::store::GlobalRecord());
  auto counters = database->GetRecord<braid::store::CountersRecord>(
      nullptr, kMeta, keys::Counters(batch.collection_.number()));
  if (!counters.ok()) return counters.status();
  batch.counters_ = counters->value_or(braid::store::CountersRecord());
  return batch;
}

template <typename Record>
absl::StatusOr<std::optional<Record>> CollectionBatch::Read(
    Family family, const std::string& key) {
  rocksdb::PinnableSlice value;
  const rocksdb::Status status =
      batch_->GetFromBatchAndDB(database_->db(), rocksdb::ReadOptions(),
                                database_->family(family), key, &value);
  if (status.IsNotFound()) return std::optional<Record>();
  if (!status.ok()) return FromRocksDb(status, "reading the store");
  std::optional<Record> record(std::in_place);
  if constexpr (std::is_same_v<Record, std::string>) {
    record->assign(value.data(), value.size());
  } else if (!record->ParseFromArray(value.data(),
                                     static_cast<int>(value.size()))) {
    return absl::DataLossError(
        absl::StrCat("the store holds a broken ", record->GetTypeName()));
  }
  return record;
}

void CollectionBatch::Write(Family family, const std::string& key,
                            absl::string_view value) {
  batch_->Put(database_->family(family), key,
              rocksdb::Slice(value.data(), value.size()));
}

template <typename Record>
void CollectionBatch::WriteRecord(Family family, const std::string& key,
                                  const Record& record) {
  Write(family, key, record.SerializeAsString());
}

absl::Status CollectionBatch::Validate(const DocumentWrite& write) const {
  if (absl::Status status = ValidateDocumentId(write.id); !status.ok()) {
    return status;
  }
  if (write.request_id.size() > kMaxRequestIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("request_id: has ", write.request_id.size(),
                     " bytes, at most ", kMaxRequestIdBytes, " are allowed"));
  }
  constexpr size_t kMaxChunks = std::numeric_limits<uint32_t>::max();
  if (write.chunks.size() > kMaxChunks ||
      write.text.size() / kTextPieceBytes >= kMaxChunks) {
    return absl::InvalidArgumentError(
        absl::StrCat("document \"", write.id, "\" is too large"));
  }
  if (write.vectors.size() != write.chunks.size() * collection_.dimension()) {
    return absl::InvalidArgumentError(
        absl::StrCat("document \"", write.id, "\" has ", write.vectors.size(),
                     " vector elements for ", write.chunks.size(),
                     " chunks of dimension ", collection_.dimension()));
  }
  if (absl::Status status =
          CheckReaders(FromRecord(collection_), write.readers);
      !status.ok()) {
    return status;
  }
  for (size_t i = 0; i < write.chunks.size(); ++i) {
    const ByteRange& range = write.chunks[i].text_range;
    if (range.begin > range.end || range.end > write.text.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("chunk ", i, " of document \"", write.id,
                       "\" covers bytes ", range.begin, " to ", range.end,
                       " of a text of ", write.text.size(), " bytes"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<WriteResult> CollectionBatch::Put(const DocumentWrite& write,
                                                 bool force, absl::Time now) {
  if (absl::Status status = Validate(write); !status.ok()) return status;
  const keys::CollectionNumber number = collection_.number();
  std::vector<std::string> readers = Normalized(write.readers);
  if (!write.request_id.empty()) {
    auto earlier = Read<braid::store::RequestRecord>(
        kRequests, keys::Request(number, write.request_id));
    if (!earlier.ok()) return earlier.status();
    if (earlier->has_value()) return FromRecord(**earlier);
  }
  auto stored = Read<braid::store::DocumentRecord>(
      kDocuments, keys::Document(number, write.id));
  if (!stored.ok()) return stored.status();
  std::optional<DocumentInfo> old;
  if (stored->has_value()) old = FromRecord(write.id, **stored);

  WriteResult result;
  if (old.has_value() && !force && old->content_hash == write.content_hash &&
      old->title == write.title && old->metadata == write.metadata &&
      old->readers == readers) {
    result = {.outcome = WriteOutcome::kUnchanged,
              .version = old->version,
              .sequence = old->sequence,
              .chunk_count = old->chunk_count};
    if (absl::Status status = RememberRequest(write.request_id, result);
        !status.ok()) {
      return status;
    }
    return result;
  }

  DocumentInfo info{.id = write.id,
                    .version = 1,
                    .title = write.title,
                    .media_type = write.media_type,
                    .content_hash = write.content_hash,
                    .source_fingerprint = write.source_fingerprint,
                    .metadata = write.metadata,
                    .readers = std::move(readers),
                    .sequence = global_.last_sequence() + 1,
                    .state_sequence = global_.last_sequence() + 1,
                    .first_chunk = 0,
                    .chunk_count = static_cast<uint32_t>(write.chunks.size()),
                    .text_bytes = write.text.size(),
                    .create_time = now,
                    .update_time = now};
  if (info.chunk_count > 0) info.first_chunk = counters_.last_chunk() + 1;
  if (old.has_value()) {
    info.version = old->version + 1;
    info.create_time = old->create_time;
  } else {
    auto retired = Read<braid::store::DocumentRecord>(
        kRetired, keys::Document(number, write.id));
    if (!retired.ok()) return retired.status();
    if (retired->has_value()) info.version = (*retired)->version() + 1;
  }
  result = {.outcome = old.has_value() ? WriteOutcome::kReplaced
                                       : WriteOutcome::kCreated,
            .version = info.version,
            .sequence = info.sequence,
            .chunk_count = info.chunk_count};
  // The last step that can fail: from here on the batch changes.
  if (absl::Status status = RememberRequest(write.request_id, result);
      !status.ok()) {
    return status;
  }

  LogEntry entry{.kind = LogEntry::Kind::kPut,
                 .document_id = write.id,
                 .version = info.version,
                 .first_chunk = info.first_chunk,
                 .chunk_count = info.chunk_count};
  if (old.has_value()) {
    Remove(*old, now);
    entry.removed_first_chunk = old->first_chunk;
    entry.removed_chunk_count = old->chunk_count;
  } else {
    counters_.set_documents(counters_.documents() + 1);
  }
  Log(std::move(entry));
  WriteRecord(kDocuments, keys::Document(number, write.id), ToRecord(info));
  MakeReadable(info, old.has_value() ? old->readers : info.readers);
  const absl::string_view text = write.text;
  for (uint64_t begin = 0; begin < text.size(); begin += kTextPieceBytes) {
    const uint32_t piece = static_cast<uint32_t>(begin / kTextPieceBytes);
    Write(kTexts, keys::TextPiece(number, info.sequence, piece),
          text.substr(begin, kTextPieceBytes));
  }
  const size_t dimension = collection_.dimension();
  for (uint32_t i = 0; i < info.chunk_count; ++i) {
    const std::string key = keys::Numbered(number, info.first_chunk + i);
    WriteRecord(kChunks, key,
                ToRecord(write.id, info.version, i, write.chunks[i]));
    Write(kVectors, key,
          absl::string_view(reinterpret_cast<const char*>(write.vectors.data() +
                                                          i * dimension),
                            dimension * sizeof(float)));
  }
  counters_.set_last_chunk(counters_.last_chunk() + info.chunk_count);
  counters_.set_chunks(counters_.chunks() + info.chunk_count);
  return result;
}

absl::StatusOr<DocumentInfo> CollectionBatch::Find(absl::string_view id) {
  if (absl::Status status = ValidateDocumentId(id); !status.ok()) return status;
  auto stored = Read<braid::store::DocumentRecord>(
      kDocuments, keys::Document(collection_.number(), id));
  if (!stored.ok()) return stored.status();
  if (!stored->has_value()) {
    return absl::NotFoundError(
        absl::StrCat("there is no document \"", id, "\""));
  }
  return FromRecord(id, **stored);
}

absl::StatusOr<PatchResult> CollectionBatch::Patch(absl::string_view id,
                                                   const MetadataPatch& patch,
                                                   absl::Time now) {
  absl::StatusOr<DocumentInfo> stored = Find(id);
  if (!stored.ok()) return stored.status();
  PatchResult result{.document = *std::move(stored),
                     .sequence = counters_.last_sequence()};
  Metadata metadata = result.document.metadata;
  for (const std::string& key : patch.remove) metadata.erase(key);
  for (const auto& [key, value] : patch.set) {
    metadata.insert_or_assign(key, value);
  }
  if (metadata.size() > patch.max_keys) {
    return absl::FailedPreconditionError(
        absl::StrCat("document \"", id, "\" would have ", metadata.size(),
                     " metadata keys, more than ", patch.max_keys));
  }
  std::vector<std::string> readers = result.document.readers;
  if (patch.readers.has_value()) {
    if (absl::Status status =
            CheckReaders(FromRecord(collection_), *patch.readers);
        !status.ok()) {
      return status;
    }
    readers = Normalized(*patch.readers);
  }
  if (metadata == result.document.metadata &&
      readers == result.document.readers) {
    return result;
  }
  result.changed = true;
  Retire(result.document, now, /*ends_version=*/false);
  result.document.state_sequence = global_.last_sequence() + 1;
  result.document.metadata = std::move(metadata);
  result.document.readers.swap(readers);  // `readers` is what they were
  result.document.update_time = now;
  // The sequence in the record is that of its text, which stays.
  WriteRecord(kDocuments, keys::Document(collection_.number(), id),
              ToRecord(result.document));
  MakeReadable(result.document, readers);
  result.sequence = Log({.kind = LogEntry::Kind::kPatch,
                         .document_id = result.document.id,
                         .version = result.document.version});
  return result;
}

absl::StatusOr<Sequence> CollectionBatch::Delete(absl::string_view id,
                                                 absl::Time now) {
  const absl::StatusOr<DocumentInfo> stored = Find(id);
  if (!stored.ok()) return stored.status();
  const DocumentInfo& old = *stored;
  const std::string key = keys::Document(collection_.number(), id);
  Remove(old, now);
  batch_->Delete(database_->family(kDocuments), key);
  MakeReadable({.id = old.id}, old.readers);
  braid::store::DocumentRecord retired;
  retired.set_version(old.version);
  for (const std::string& reader : old.readers) retired.add_readers(reader);
  WriteRecord(kRetired, key, retired);
  counters_.set_documents(counters_.documents() - 1);
  return Log({.kind = LogEntry::Kind::kDelete,
              .document_id = old.id,
              .version = old.version,
              .removed_first_chunk = old.first_chunk,
              .removed_chunk_count = old.chunk_count});
}

void CollectionBatch::Retire(const DocumentInfo& document, absl::Time now,
                             bool ends_version) {
  const Sequence until = global_.last_sequence() + 1;
  if (!options_.keep_history) {
    counters_.set_history_through(until);
    return;
  }
  const uint64_t bytes = WritePastState(*database_, collection_.number(),
                                        {.document = document,
                                         .until = until,
                                         .end_time = now,
                                         .ends_version = ends_version},
                                        batch_.get());
  counters_.set_history_bytes(counters_.history_bytes() + bytes);
}

void CollectionBatch::Remove(const DocumentInfo& document, absl::Time now) {
  const keys::CollectionNumber number = collection_.number();
  Retire(document, now, /*ends_version=*/true);
  if (!options_.keep_history) {
    DeleteText(*database_, number, document, batch_.get());
  }
  for (uint32_t i = 0; i < document.chunk_count; ++i) {
    const std::string key = keys::Numbered(number, document.first_chunk + i);
    batch_->Delete(database_->family(kChunks), key);
    batch_->Delete(database_->family(kVectors), key);
  }
  counters_.set_chunks(counters_.chunks() - document.chunk_count);
}

void CollectionBatch::MakeReadable(const DocumentInfo& document,
                                   absl::Span<const std::string> old) {
  const keys::CollectionNumber number = collection_.number();
  for (const std::string& reader : old) {
    if (std::binary_search(document.readers.begin(), document.readers.end(),
                           reader)) {
      continue;
    }
    batch_->Delete(database_->family(kReadable),
                   keys::Readable(number, reader, document.id));
  }
  braid::store::ReadableRecord record;
  record.set_first_chunk(document.first_chunk);
  record.set_chunk_count(document.chunk_count);
  for (const std::string& reader : document.readers) {
    WriteRecord(kReadable, keys::Readable(number, reader, document.id), record);
  }
}

Sequence CollectionBatch::Log(LogEntry entry) {
  entry.sequence = global_.last_sequence() + 1;
  braid::store::LogRecord record = ToRecord(entry);
  record.set_previous(counters_.last_sequence());
  global_.set_last_sequence(entry.sequence);
  counters_.set_last_sequence(entry.sequence);
  WriteRecord(kLog, keys::Numbered(collection_.number(), entry.sequence),
              record);
  return entry.sequence;
}

absl::Status CollectionBatch::RememberRequest(const std::string& id,
                                              const WriteResult& result) {
  if (id.empty() || options_.max_request_ids == 0) return absl::OkStatus();
  const keys::CollectionNumber number = collection_.number();
  uint64_t oldest = counters_.oldest_request();
  if (counters_.next_request() - oldest >= options_.max_request_ids) {
    const std::string key = keys::RequestPosition(number, oldest);
    auto forgotten = Read<std::string>(kRequests, key);
    if (!forgotten.ok()) return forgotten.status();
    if (forgotten->has_value()) {
      batch_->Delete(database_->family(kRequests),
                     keys::Request(number, **forgotten));
    }
    batch_->Delete(database_->family(kRequests), key);
    counters_.set_oldest_request(oldest + 1);
  }
  WriteRecord(kRequests, keys::Request(number, id), ToRecord(result));
  Write(kRequests, keys::RequestPosition(number, counters_.next_request()), id);
  counters_.set_next_request(counters_.next_request() + 1);
  return absl::OkStatus();
}

absl::Status CollectionBatch::Commit() {
  if (batch_->GetWriteBatch()->Count() == 0) return absl::OkStatus();
  WriteRecord(kMeta, keys::Counters(collection_.number()), counters_);
  WriteRecord(kMeta, keys::Global(), global_);
  return database_->Write(batch_->GetWriteBatch(), /*sync=*/true,
                          "writing to the store");
}

}  // namespace braid::retrieval
