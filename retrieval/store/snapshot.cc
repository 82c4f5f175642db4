#include "retrieval/store/snapshot.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/store/records.h"

namespace braid::retrieval {
namespace {

absl::string_view View(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

template <typename Record>
absl::StatusOr<Record> ParseRecord(absl::string_view value) {
  Record record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return absl::DataLossError(
        absl::StrCat("the store holds a broken ", record.GetTypeName()));
  }
  return record;
}

absl::StatusOr<uint64_t> NumberOf(absl::string_view key) {
  const std::optional<uint64_t> number = keys::ParseNumber(key);
  if (!number.has_value()) {
    return absl::DataLossError("the store holds a broken key");
  }
  return *number;
}

// RocksDB before 8.7 may leave out a part of what an iterator goes through, and
// say nothing, when a file cannot be read (its pull requests 11782 and 11783).
// What is known to be there is therefore counted.
absl::Status CheckScanned(absl::string_view what, uint64_t found,
                          uint64_t stored) {
  if (found == stored) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("found ", found, " ", what, " of ", stored,
                   ": a file of the store could not be read, or is damaged"));
}

}  // namespace

DatabaseSnapshot::DatabaseSnapshot(std::shared_ptr<const Database> database)
    : database_(std::move(database)),
      snapshot_(database_->db()->GetSnapshot()) {}

DatabaseSnapshot::~DatabaseSnapshot() {
  database_->db()->ReleaseSnapshot(snapshot_);
}

absl::StatusOr<braid::store::CollectionRecord> DatabaseSnapshot::Find(
    absl::string_view collection) const {
  auto record = database_->GetRecord<braid::store::CollectionRecord>(
      snapshot_, kMeta, keys::Collection(collection));
  if (!record.ok()) return record.status();
  if (!record->has_value()) {
    return absl::NotFoundError(
        absl::StrCat("there is no collection \"", collection, "\""));
  }
  return *std::move(*record);
}

absl::StatusOr<braid::store::CountersRecord> DatabaseSnapshot::FindCounters(
    keys::CollectionNumber collection) const {
  auto record = database_->GetRecord<braid::store::CountersRecord>(
      snapshot_, kMeta, keys::Counters(collection));
  if (!record.ok()) return record.status();
  return record->value_or(braid::store::CountersRecord());
}

absl::StatusOr<std::optional<DocumentInfo>> DatabaseSnapshot::Current(
    keys::CollectionNumber collection, absl::string_view id) const {
  auto record = database_->GetRecord<braid::store::DocumentRecord>(
      snapshot_, kDocuments, keys::Document(collection, id));
  if (!record.ok()) return record.status();
  if (!record->has_value()) return std::optional<DocumentInfo>();
  return std::optional<DocumentInfo>(FromRecord(id, **record));
}

absl::StatusOr<DocumentInfo> DatabaseSnapshot::FindDocument(
    keys::CollectionNumber collection, absl::string_view id) const {
  absl::StatusOr<std::optional<DocumentInfo>> document =
      Current(collection, id);
  if (!document.ok()) return document.status();
  if (!document->has_value()) {
    return absl::NotFoundError(
        absl::StrCat("there is no document \"", id, "\""));
  }
  return **std::move(document);
}

absl::Status DatabaseSnapshot::Scan(
    Family family, keys::CollectionNumber collection, const std::string& start,
    const std::function<absl::StatusOr<bool>(
        absl::string_view key, absl::string_view value)>& visit) const {
  const std::string end = keys::Prefix(collection + 1);
  const rocksdb::Slice upper_bound(end);
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  options.iterate_upper_bound = &upper_bound;
  // Whole collections, and vectors that an index takes once: in the cache they
  // would push out the passages that searches fetch.
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> iterator(
      database_->db()->NewIterator(options, database_->family(family)));
  for (iterator->Seek(start); iterator->Valid(); iterator->Next()) {
    absl::StatusOr<bool> more =
        visit(View(iterator->key()), View(iterator->value()));
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
  }
  return FromRocksDb(iterator->status(), "reading the store");
}

absl::StatusOr<DocumentInfo> DatabaseSnapshot::GetDocument(
    absl::string_view collection, absl::string_view id) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  return FindDocument(record->number(), id);
}

absl::StatusOr<std::string> DatabaseSnapshot::ReadText(
    keys::CollectionNumber collection, const DocumentInfo& document,
    const ByteRange& range, PieceCache* cache) const {
  if (range.begin > range.end || range.end > document.text_bytes) {
    return absl::OutOfRangeError(absl::StrCat(
        "bytes ", range.begin, " to ", range.end, " are not inside the ",
        document.text_bytes, " bytes of document \"", document.id, "\""));
  }
  std::string text;
  text.reserve(range.size());
  for (uint64_t begin = range.begin; begin < range.end;) {
    const uint32_t piece = static_cast<uint32_t>(begin / kTextPieceBytes);
    if (cache->sequence != document.sequence || cache->piece != piece) {
      absl::StatusOr<std::optional<rocksdb::PinnableSlice>> value =
          database_->Get(snapshot_, kTexts,
                         keys::TextPiece(collection, document.sequence, piece));
      if (!value.ok()) return value.status();
      if (!value->has_value()) {
        return absl::DataLossError(absl::StrCat(
            "the store lost text of document \"", document.id, "\""));
      }
      cache->sequence = document.sequence;
      cache->piece = piece;
      cache->bytes.assign((*value)->data(), (*value)->size());
    }
    const uint64_t piece_begin = uint64_t{piece} * kTextPieceBytes;
    const uint64_t end = std::min(range.end, piece_begin + kTextPieceBytes);
    if (cache->bytes.size() < end - piece_begin) {
      return absl::DataLossError(absl::StrCat(
          "the store lost text of document \"", document.id, "\""));
    }
    text.append(cache->bytes, begin - piece_begin, end - begin);
    begin = end;
  }
  return text;
}

absl::StatusOr<std::string> DatabaseSnapshot::GetText(
    absl::string_view collection, absl::string_view id) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const absl::StatusOr<DocumentInfo> document =
      FindDocument(record->number(), id);
  if (!document.ok()) return document.status();
  PieceCache cache;
  return ReadText(record->number(), *document, {0, document->text_bytes},
                  &cache);
}

absl::StatusOr<std::string> DatabaseSnapshot::GetTextRange(
    absl::string_view collection, const DocumentInfo& document,
    const ByteRange& range) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  PieceCache cache;
  return ReadText(record->number(), document, range, &cache);
}

absl::StatusOr<std::vector<DocumentInfo>> DatabaseSnapshot::ListDocuments(
    absl::string_view collection, absl::string_view after, size_t limit) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  std::vector<DocumentInfo> documents;
  if (limit == 0) return documents;
  const size_t prefix = keys::Prefix(record->number()).size();
  absl::Status status = Scan(
      kDocuments, record->number(), keys::Document(record->number(), after),
      [&](absl::string_view key,
          absl::string_view value) -> absl::StatusOr<bool> {
        const absl::string_view id = key.substr(prefix);
        if (id == after) return true;
        auto document = ParseRecord<braid::store::DocumentRecord>(value);
        if (!document.ok()) return document.status();
        documents.push_back(FromRecord(id, *document));
        return documents.size() < limit;
      });
  if (!status.ok()) return status;
  return documents;
}

absl::Status DatabaseSnapshot::ForEachDocument(
    absl::string_view collection,
    const std::function<bool(const DocumentInfo&)>& visit) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const auto counters = FindCounters(record->number());
  if (!counters.ok()) return counters.status();
  const std::string prefix = keys::Prefix(record->number());
  uint64_t visited = 0;
  bool more = true;
  absl::Status status =
      Scan(kDocuments, record->number(), prefix,
           [&](absl::string_view key,
               absl::string_view value) -> absl::StatusOr<bool> {
             auto document = ParseRecord<braid::store::DocumentRecord>(value);
             if (!document.ok()) return document.status();
             ++visited;
             more = visit(FromRecord(key.substr(prefix.size()), *document));
             return more;
           });
  if (!status.ok() || !more) return status;
  return CheckScanned("documents", visited, counters->documents());
}

absl::Status DatabaseSnapshot::ForEachReadable(
    absl::string_view collection, absl::string_view reader,
    absl::string_view after,
    const std::function<bool(const ReadableDocument&)>& visit) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  // A store without the family has no documents with readers.
  if (database_->family(kReadable) == nullptr) return absl::OkStatus();
  const std::string prefix = keys::ReadableBy(record->number(), reader);
  return Scan(kReadable, record->number(),
              keys::Readable(record->number(), reader, after),
              [&](absl::string_view key,
                  absl::string_view value) -> absl::StatusOr<bool> {
                if (!absl::ConsumePrefix(&key, prefix)) return false;
                // No id is empty, so this skips nothing at the beginning.
                if (key == after) return true;
                auto chunks = ParseRecord<braid::store::ReadableRecord>(value);
                if (!chunks.ok()) return chunks.status();
                return visit({std::string(key), chunks->first_chunk(),
                              chunks->chunk_count()});
              });
}

absl::StatusOr<std::vector<std::string>> DatabaseSnapshot::GetReaders(
    absl::string_view collection, absl::string_view id) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  for (const Family family : {kDocuments, kRetired}) {
    const auto document = database_->GetRecord<braid::store::DocumentRecord>(
        snapshot_, family, keys::Document(record->number(), id));
    if (!document.ok()) return document.status();
    if (document->has_value()) return FromRecord(id, **document).readers;
  }
  return absl::NotFoundError(absl::StrCat("there is no document \"", id, "\""));
}

absl::StatusOr<std::vector<Chunk>> DatabaseSnapshot::GetChunks(
    absl::string_view collection, const DocumentInfo& document) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  std::vector<Chunk> chunks;
  if (document.chunk_count == 0) return chunks;
  const ChunkId end = document.first_chunk + document.chunk_count;
  absl::Status status =
      Scan(kChunks, record->number(),
           keys::Numbered(record->number(), document.first_chunk),
           [&](absl::string_view key,
               absl::string_view value) -> absl::StatusOr<bool> {
             const absl::StatusOr<uint64_t> id = NumberOf(key);
             if (!id.ok()) return id.status();
             if (*id >= end) return false;
             auto chunk = ParseRecord<braid::store::ChunkRecord>(value);
             if (!chunk.ok()) return chunk.status();
             chunks.push_back(FromRecord(*id, *chunk));
             return *id + 1 < end;
           });
  if (!status.ok()) return status;
  if (chunks.size() != document.chunk_count) {
    return absl::DataLossError(absl::StrCat(
        "the store lost chunks of document \"", document.id, "\""));
  }
  return chunks;
}

absl::StatusOr<std::vector<Passage>> DatabaseSnapshot::GetPassages(
    absl::string_view collection, absl::Span<const ChunkId> chunks) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const keys::CollectionNumber number = record->number();
  std::vector<Passage> passages;
  passages.reserve(chunks.size());
  std::unordered_map<std::string, DocumentInfo> documents;
  PieceCache cache;
  for (const ChunkId id : chunks) {
    auto chunk_record = database_->GetRecord<braid::store::ChunkRecord>(
        snapshot_, kChunks, keys::Numbered(number, id));
    if (!chunk_record.ok()) return chunk_record.status();
    if (!chunk_record->has_value()) continue;
    Passage passage;
    passage.chunk = FromRecord(id, **chunk_record);
    auto document = documents.find(passage.chunk.document_id);
    if (document == documents.end()) {
      absl::StatusOr<DocumentInfo> info =
          FindDocument(number, passage.chunk.document_id);
      if (absl::IsNotFound(info.status())) {
        return absl::DataLossError(
            absl::StrCat("chunk ", id, " is there without its document \"",
                         passage.chunk.document_id, "\""));
      }
      if (!info.ok()) return info.status();
      document =
          documents.emplace(passage.chunk.document_id, *std::move(info)).first;
    }
    absl::StatusOr<std::string> text = ReadText(
        number, document->second, passage.chunk.span.text_range, &cache);
    if (!text.ok()) return text.status();
    passage.text = *std::move(text);
    passage.title = document->second.title;
    passage.metadata = document->second.metadata;
    passages.push_back(std::move(passage));
  }
  return passages;
}

absl::StatusOr<std::vector<float>> DatabaseSnapshot::GetVectors(
    absl::string_view collection, ChunkId first, uint32_t count) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const size_t dimension = record->dimension();
  std::vector<float> vectors;
  if (count == 0) return vectors;
  vectors.reserve(size_t{count} * dimension);
  ChunkId next = first;
  absl::Status status =
      Scan(kVectors, record->number(), keys::Numbered(record->number(), first),
           [&](absl::string_view key,
               absl::string_view value) -> absl::StatusOr<bool> {
             const absl::StatusOr<uint64_t> id = NumberOf(key);
             if (!id.ok()) return id.status();
             if (*id != next || value.size() != dimension * sizeof(float)) {
               return false;
             }
             const size_t old_size = vectors.size();
             vectors.resize(old_size + dimension);
             std::memcpy(vectors.data() + old_size, value.data(), value.size());
             ++next;
             return next - first < count;
           });
  if (!status.ok()) return status;
  if (next - first != count) {
    return absl::DataLossError(
        absl::StrCat("the store has no vector of chunk ", next));
  }
  return vectors;
}

absl::StatusOr<std::vector<ChunkId>> DatabaseSnapshot::ListChunks(
    absl::string_view collection) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const auto counters = FindCounters(record->number());
  if (!counters.ok()) return counters.status();
  std::vector<ChunkId> chunks;
  absl::Status status = Scan(
      kChunks, record->number(), keys::Prefix(record->number()),
      [&](absl::string_view key, absl::string_view) -> absl::StatusOr<bool> {
        const absl::StatusOr<uint64_t> id = NumberOf(key);
        if (!id.ok()) return id.status();
        chunks.push_back(*id);
        return true;
      });
  if (status.ok()) {
    status = CheckScanned("chunks", chunks.size(), counters->chunks());
  }
  if (!status.ok()) return status;
  return chunks;
}

absl::StatusOr<CollectionCounters> DatabaseSnapshot::Counters(
    absl::string_view collection) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const auto counters = FindCounters(record->number());
  if (!counters.ok()) return counters.status();
  return CollectionCounters{.documents = counters->documents(),
                            .chunks = counters->chunks(),
                            .last_sequence = counters->last_sequence(),
                            .oldest_sequence = counters->history_through()};
}

absl::StatusOr<std::vector<LogEntry>> DatabaseSnapshot::ReadLog(
    absl::string_view collection, Sequence after, size_t limit) const {
  const auto record = Find(collection);
  if (!record.ok()) return record.status();
  const auto counters = FindCounters(record->number());
  if (!counters.ok()) return counters.status();
  if (after < counters->truncated_through()) {
    return absl::OutOfRangeError(absl::StrCat(
        "the log of \"", collection, "\" begins after sequence ",
        counters->truncated_through(), ", asked for what follows ", after));
  }
  std::vector<LogEntry> entries;
  Sequence reached = after;
  if (limit == 0 || after == std::numeric_limits<Sequence>::max()) {
    return entries;
  }
  absl::Status status =
      Scan(kLog, record->number(), keys::Numbered(record->number(), after + 1),
           [&](absl::string_view key,
               absl::string_view value) -> absl::StatusOr<bool> {
             const absl::StatusOr<uint64_t> sequence = NumberOf(key);
             if (!sequence.ok()) return sequence.status();
             auto entry = ParseRecord<braid::store::LogRecord>(value);
             if (!entry.ok()) return entry.status();
             if (entry->has_previous() && entry->previous() > reached) {
               return false;
             }
             reached = *sequence;
             entries.push_back(FromRecord(*sequence, *entry));
             return entries.size() < limit;
           });
  if (!status.ok()) return status;
  if (entries.size() < limit && reached < counters->last_sequence()) {
    return absl::UnavailableError(absl::StrCat(
        "the log of \"", collection, "\" lacks what follows sequence ", reached,
        ": a file of the store could not be read, or is damaged"));
  }
  return entries;
}

}  // namespace braid::retrieval
