#include "retrieval/store/verify.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "retrieval/store/keys.h"
#include "retrieval/store/records.h"
#include "retrieval/store/snapshot.h"
#include "retrieval/store/verify_history.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env.h"
#include "rocksdb/file_checksum.h"
#include "rocksdb/metadata.h"
#include "rocksdb/options.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxDamage = 1000;
constexpr size_t kReadBytes = size_t{1} << 20;
constexpr size_t kLogBatch = 4096;
constexpr uint64_t kProgressDocuments = 64;

absl::Status Cancelled() {
  return absl::CancelledError("the check was stopped");
}

class Verifier {
 public:
  Verifier(const std::shared_ptr<const Database>& database,
           const std::stop_token& stop, const VerifyWatcher& progress)
      : database_(database),
        stop_(stop),
        progress_(progress),
        snapshot_(database) {}

  absl::StatusOr<StoreReport> Run() {
    rocksdb::DB* const db = database_->db();
    // Fails on a store opened for reading, whose files stay anyway.
    const bool kept = db->DisableFileDeletions().ok();
    CheckFiles();
    CheckCollections();
    if (kept) (void)db->EnableFileDeletions();
    if (stop_.stop_requested()) return Cancelled();
    return std::move(report_);
  }

 private:
  void Add(absl::string_view collection, absl::string_view document,
           absl::string_view what) {
    if (++report_.damage_count > kMaxDamage) return;
    report_.damage.push_back(
        {std::string(collection), std::string(document), std::string(what)});
  }

  void CheckFiles() {
    std::vector<rocksdb::LiveFileMetaData> files;
    database_->db()->GetLiveFilesMetaData(&files);
    const auto factory = rocksdb::GetFileChecksumGenCrc32cFactory();
    bool without = false;
    for (const rocksdb::LiveFileMetaData& file : files) {
      if (stop_.stop_requested()) return;
      const std::string path = absl::StrCat(file.db_path, file.name);
      rocksdb::FileChecksumGenContext context;
      context.file_name = path;
      const auto checksum = factory->CreateFileChecksumGenerator(context);
      if (file.file_checksum_func_name != checksum->Name()) {
        without = true;  // written before files had checksums
        continue;
      }
      ++report_.files;
      std::string what;
      const rocksdb::Status read = ReadFile(path, file.size, checksum.get());
      if (!read.ok()) {
        what = read.ToString();
      } else if (checksum->GetChecksum() != file.file_checksum) {
        what = "does not match its checksum";
      }
      if (!what.empty()) {
        Add("", "",
            absl::StrCat(path, " (", file.column_family_name, "): ", what));
      }
    }
    if (!without) return;
    const rocksdb::Status blocks = database_->db()->VerifyChecksum();
    if (!blocks.ok()) Add("", "", blocks.ToString());
  }

  rocksdb::Status ReadFile(const std::string& path, uint64_t bytes,
                           rocksdb::FileChecksumGenerator* checksum) const {
    std::unique_ptr<rocksdb::SequentialFile> file;
    rocksdb::Status status = database_->db()->GetEnv()->NewSequentialFile(
        path, &file, rocksdb::EnvOptions());
    std::vector<char> buffer(kReadBytes);
    uint64_t seen = 0;
    while (status.ok()) {
      rocksdb::Slice part;
      status = file->Read(buffer.size(), &part, buffer.data());
      if (!status.ok() || part.empty()) break;
      seen += part.size();
      checksum->Update(part.data(), part.size());
    }
    if (!status.ok()) return status;
    if (seen != bytes) {
      return rocksdb::Status::Corruption(
          absl::StrCat("has ", seen, " bytes instead of ", bytes));
    }
    checksum->Finalize();
    return status;
  }

  // Visits every key of a family that begins with `prefix`.
  template <typename Visit>
  rocksdb::Status Scan(Family family, const std::string& prefix, Visit visit) {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        database_->db()->NewIterator(options, database_->family(family)));
    for (iterator->Seek(prefix);
         iterator->Valid() && iterator->key().starts_with(prefix) &&
         !stop_.stop_requested();
         iterator->Next()) {
      visit(iterator->key(), iterator->value());
    }
    return iterator->status();
  }

  void CheckCollections() {
    const auto global = database_->GetRecord<braid::store::GlobalRecord>(
        nullptr, kMeta, keys::Global());
    if (!global.ok()) Add("", "", global.status().ToString());
    std::vector<braid::store::CollectionRecord> records;
    std::set<uint32_t> numbers;
    const std::string prefix = keys::CollectionPrefix();
    const rocksdb::Status scanned =
        Scan(kMeta, prefix,
             [&](const rocksdb::Slice& key, const rocksdb::Slice& value) {
               const std::string id = key.ToString().substr(prefix.size());
               braid::store::CollectionRecord record;
               if (!record.ParseFromArray(value.data(),
                                          static_cast<int>(value.size())) ||
                   record.id() != id ||
                   !ValidateCollection(FromRecord(record)).ok()) {
                 Add(id, "", "its record is broken");
               } else if (!numbers.insert(record.number()).second) {
                 Add(id, "", "shares its number with another collection");
               } else {
                 records.push_back(record);
               }
             });
    if (!scanned.ok()) {
      Add("", "",
          absl::StrCat("collections cannot be listed: ", scanned.ToString()));
    }
    for (const braid::store::CollectionRecord& record : records) {
      const auto counters = snapshot_.Counters(record.id());
      if (counters.ok()) checked_.total += counters->documents;
    }
    for (const braid::store::CollectionRecord& record : records) {
      if (stop_.stop_requested()) return;
      Tell();
      CheckCollection(record);
    }
    Tell();
  }

  void Tell() {
    if (progress_) progress_(checked_);
  }

  void CheckCollection(const braid::store::CollectionRecord& record) {
    const CollectionConfig config = FromRecord(record);
    const std::string& id = config.id;
    const absl::StatusOr<CollectionCounters> counters = snapshot_.Counters(id);
    if (!counters.ok()) {
      Add(id, "", counters.status().ToString());
      return;
    }
    uint64_t documents = 0;
    uint64_t chunks = 0;
    uint64_t readers = 0;
    std::vector<Sequence> texts;
    const absl::Status listed =
        snapshot_.ForEachDocument(id, [&](const DocumentInfo& document) {
          ++documents;
          chunks += document.chunk_count;
          readers += document.readers.size();
          if (document.text_bytes > 0) texts.push_back(document.sequence);
          std::string what = CheckDocument(config, document);
          if (what.empty()) what = CheckReadable(record.number(), document);
          if (what.empty() &&
              (document.state_sequence > counters->last_sequence ||
               document.sequence > document.state_sequence)) {
            what = "is newer than its collection";
          }
          if (what.empty()) {
            ++checked_.documents;
            ++report_.documents;
            report_.chunks += document.chunk_count;
          } else {
            ++checked_.damaged;
            Add(id, document.id, what);
          }
          if (documents % kProgressDocuments == 0) Tell();
          return !stop_.stop_requested();
        });
    if (stop_.stop_requested()) return;
    if (!listed.ok()) {
      Add(id, "",
          absl::StrCat("of ", counters->documents, " documents only the first ",
                       documents, " can be listed: ", listed.message()));
      return;
    }
    Compare(id, "documents", documents, counters->documents);
    Compare(id, "chunks", chunks, counters->chunks);
    // What belongs to no document would come back as a hit without one.
    const absl::StatusOr<std::vector<ChunkId>> stored =
        snapshot_.ListChunks(id);
    if (!stored.ok()) {
      Add(id, "", absl::StrCat("chunks: ", stored.status().message()));
    } else {
      Compare(id, "chunk records", stored->size(), chunks);
    }
    // An entry too many would show a document to those it does not name.
    Compare(id, "entries of readers", CountReadable(record.number()), readers);
    if (stop_.stop_requested()) return;
    CheckLog(id, counters->last_sequence);
    CheckHistory(*database_, snapshot_, record, std::move(texts), stop_,
                 [&](absl::string_view document, absl::string_view what) {
                   Add(id, document, what);
                 });
  }

  void Compare(const std::string& collection, absl::string_view what,
               uint64_t found, uint64_t expected) {
    if (found == expected) return;
    Add(collection, "",
        absl::StrCat("has ", found, " ", what, " instead of ", expected));
  }

  // What is wrong with a document; empty if nothing.
  std::string CheckDocument(const CollectionConfig& config,
                            const DocumentInfo& document) const {
    const absl::StatusOr<std::string> text =
        snapshot_.GetTextRange(config.id, document, {0, document.text_bytes});
    if (!text.ok()) return absl::StrCat("text: ", text.status().message());
    const absl::StatusOr<std::vector<Chunk>> chunks =
        snapshot_.GetChunks(config.id, document);
    if (!chunks.ok())
      return absl::StrCat("chunks: ", chunks.status().message());
    for (size_t i = 0; i < chunks->size(); ++i) {
      const Chunk& chunk = (*chunks)[i];
      const ByteRange& range = chunk.span.text_range;
      if (chunk.document_id != document.id ||
          chunk.version != document.version || chunk.ordinal != i ||
          range.begin > range.end || range.end > document.text_bytes) {
        return absl::StrCat("chunk ", chunk.id, " is not of this version");
      }
    }
    const absl::StatusOr<std::vector<float>> vectors = snapshot_.GetVectors(
        config.id, document.first_chunk, document.chunk_count);
    if (!vectors.ok()) {
      return absl::StrCat("vectors: ", vectors.status().message());
    }
    for (const float value : *vectors) {
      if (!std::isfinite(value)) return "a vector is not finite";
    }
    return "";
  }

  // Whether the document can be found by each of its readers.
  std::string CheckReadable(keys::CollectionNumber number,
                            const DocumentInfo& document) const {
    if (document.readers.empty()) return "";
    if (database_->family(kReadable) == nullptr) {
      return "has readers in a store without the index of them";
    }
    for (const std::string& reader : document.readers) {
      const auto entry = database_->GetRecord<braid::store::ReadableRecord>(
          snapshot_.moment(), kReadable,
          keys::Readable(number, reader, document.id));
      if (!entry.ok())
        return absl::StrCat("readers: ", entry.status().message());
      if (!entry->has_value() ||
          (*entry)->first_chunk() != document.first_chunk ||
          (*entry)->chunk_count() != document.chunk_count) {
        return "is not found by its readers";
      }
    }
    return "";
  }

  uint64_t CountReadable(keys::CollectionNumber number) const {
    if (database_->family(kReadable) == nullptr) return 0;
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_.moment();
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        database_->db()->NewIterator(options, database_->family(kReadable)));
    const std::string prefix = keys::Prefix(number);
    uint64_t count = 0;
    // What cannot be read is missing from the count.
    for (iterator->Seek(prefix);
         iterator->Valid() && iterator->key().starts_with(prefix) &&
         !stop_.stop_requested();
         iterator->Next()) {
      ++count;
    }
    return count;
  }

  void CheckLog(const std::string& collection, Sequence last) {
    // The log may have been truncated up to any sequence: an index that is
    // older than that is rebuilt. What is left must reach to the end.
    Sequence after = last == 0 ? 0 : last - 1;
    const absl::StatusOr<std::vector<LogEntry>> tail =
        snapshot_.ReadLog(collection, after, kLogBatch);
    if (absl::IsOutOfRange(tail.status())) return;  // truncated to the end
    if (!tail.ok()) {
      Add(collection, "", absl::StrCat("log: ", tail.status().message()));
    } else if (last > 0 &&
               (tail->size() != 1 || tail->front().sequence != last)) {
      Add(collection, "", "the log does not end with the newest write");
    }
  }

  const std::shared_ptr<const Database> database_;
  const std::stop_token stop_;
  const VerifyWatcher& progress_;
  const DatabaseSnapshot snapshot_;
  VerifyProgress checked_;
  StoreReport report_;
};

}  // namespace

absl::StatusOr<StoreReport> VerifyStore(
    const std::shared_ptr<const Database>& database,
    const std::stop_token& stop, const VerifyWatcher& progress) {
  return Verifier(database, stop, progress).Run();
}

}  // namespace braid::retrieval
