#include "retrieval/store/database.h"

#include <algorithm>
#include <cstdarg>
#include <vector>

#include "absl/strings/match.h"
#include "retrieval/store/keys.h"
#include "retrieval/store/seal.h"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env.h"
#include "rocksdb/file_checksum.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/checkpoint.h"

namespace braid::retrieval {
namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "default", "documents", "texts",   "chunks",  "vectors",
    "log",     "requests",  "history", "retired", "readable"};

// The best of the codecs this RocksDB was built with.
rocksdb::CompressionType Compression(rocksdb::CompressionType wanted) {
  const std::vector<rocksdb::CompressionType> have =
      rocksdb::GetSupportedCompressions();
  return std::find(have.begin(), have.end(), wanted) != have.end()
             ? wanted
             : rocksdb::kNoCompression;
}

rocksdb::ColumnFamilyOptions FamilyOptions(
    Family family, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;

  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = 4 << 20;
  options.compression = Compression(rocksdb::kLZ4Compression);
  if (family == kTexts) {
    options.compression = Compression(rocksdb::kZSTD);
    options.write_buffer_size = 8 << 20;
    table.block_size = 16 << 10;
  } else if (family == kVectors) {
    // Unit vectors do not compress.
    options.compression = rocksdb::kNoCompression;
    options.write_buffer_size = 8 << 20;
    table.block_size = 16 << 10;
  }
  options.bottommost_compression = options.compression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// Without RocksDB's own diary, LOG: what matters comes back as a status.
class NoLog : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

class WriteListener : public rocksdb::EventListener {
 public:
  explicit WriteListener(std::shared_ptr<std::atomic<bool>> sealed)
      : sealed_(std::move(sealed)) {}
  // After an error RocksDB tries again by itself at long intervals, and is busy
  // meanwhile. Here the next write tries: see Database::Write.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* automatic) override {
    *automatic = false;
  }
  void OnMemTableSealed(const rocksdb::MemTableInfo&) override {
    *sealed_ = true;
  }

 private:
  const std::shared_ptr<std::atomic<bool>> sealed_;
};

// Whether the disk takes what a new log needs.
rocksdb::Status ProbeDisk(rocksdb::Env* env, const std::string& directory) {
  constexpr size_t kProbeBytes = size_t{1} << 20;
  const std::string path = directory + "/probe.dbtmp";
  const rocksdb::Status status = rocksdb::WriteStringToFile(
      env, std::string(kProbeBytes, '\0'), path, /*should_sync=*/true);
  const rocksdb::Status removed = env->DeleteFile(path);
  return status.ok() ? removed : status;
}

rocksdb::DBOptions DatabaseOptions(
    const StoreOptions& options,
    const std::shared_ptr<std::atomic<bool>>& memtable_sealed) {
  rocksdb::DBOptions db;
  if (options.env != nullptr) db.env = options.env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.paranoid_checks = true;
  db.max_background_jobs = 2;
  db.max_open_files = 256;
  // Bounds memory (all memtables together) and the replay at the next open.
  db.db_write_buffer_size = 24 << 20;
  db.max_total_wal_size = 64 << 20;
  db.track_and_verify_wals_in_manifest = true;
  // Blocks have checksums of their own; these cover what lies between them.
  db.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  db.info_log = std::make_shared<NoLog>();
  db.listeners.push_back(std::make_shared<WriteListener>(memtable_sealed));
  // Every acknowledged write is synced, so only the tail of the log may be
  // incomplete; anything else is a loss that has to be seen.
  db.wal_recovery_mode =
      options.recover_to_last_intact_write || options.read_only
          ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
          : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  return db;
}

// Makes `directory` with all its parents, and their names durable.
absl::Status CreateDirectory(rocksdb::Env* env, const std::string& directory) {
  for (size_t end = directory.find('/', 1);;
       end = directory.find('/', end + 1)) {
    const std::string path = directory.substr(0, end);
    if (!env->FileExists(path).ok()) {
      const rocksdb::Status status = env->CreateDirIfMissing(path);
      if (!status.ok()) {
        return FromRocksDb(status, absl::StrCat("cannot create ", path));
      }
      const size_t slash = path.rfind('/');
      const std::string parent = slash == std::string::npos ? "."
                                 : slash == 0               ? "/"
                                              : path.substr(0, slash);
      std::unique_ptr<rocksdb::Directory> handle;
      // Not every file system can sync a directory; the ones that need it can.
      if (env->NewDirectory(parent, &handle).ok()) (void)handle->Fsync();
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

// RocksDB takes a directory without CURRENT for a new store, and removes what
// it does not know.
absl::Status CheckCurrent(rocksdb::Env* env, const std::string& directory) {
  if (env->FileExists(directory + "/CURRENT").ok()) return absl::OkStatus();
  std::vector<std::string> names;
  // A directory that cannot be listed is RocksDB's to report.
  if (!env->GetChildren(directory, &names).ok()) return absl::OkStatus();
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".sst") || absl::EndsWith(name, ".log")) {
      return absl::DataLossError(absl::StrCat(
          directory, "/CURRENT: is missing beside the store's files"));
    }
  }
  return absl::OkStatus();
}

// Whether the column families are those of this version. RocksDB makes them one
// after the other, in their order, and may have been killed on the way: the
// first few are a store that is being made.
absl::Status CheckFamilies(const rocksdb::DBOptions& options,
                           const std::string& directory) {
  std::vector<std::string> names;
  // What is not there yet is fine; what cannot be read is RocksDB's to report.
  if (!rocksdb::DB::ListColumnFamilies(options, directory, &names).ok()) {
    return absl::OkStatus();
  }
  const bool known =
      names.size() <= kFamilyNames.size() &&
      std::is_permutation(names.begin(), names.end(), kFamilyNames.begin(),
                          kFamilyNames.begin() + names.size());
  return known ? absl::OkStatus() : OtherVersion(directory);
}

// Whether the store was made before documents had readers, and whole.
bool LacksReadable(const rocksdb::DBOptions& options,
                   const std::string& directory) {
  std::vector<std::string> names;
  return rocksdb::DB::ListColumnFamilies(options, directory, &names).ok() &&
         names.size() == kReadable;
}

}  // namespace

absl::Status OtherVersion(const std::string& directory) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the store in ", directory,
      " was made by another version of Braid, whose records this one does not "
      "read: ingest the documents again into a new data directory"));
}

absl::Status FromRocksDb(const rocksdb::Status& status,
                         absl::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat(what, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  if (status.IsMemoryLimit()) return absl::ResourceExhaustedError(message);
  if (status.IsNotFound() || status.IsPathNotFound()) {
    return absl::NotFoundError(message);
  }
  if (status.IsInvalidArgument()) return absl::FailedPreconditionError(message);
  if (status.IsNotSupported()) return absl::UnimplementedError(message);
  if (status.IsBusy() || status.IsTryAgain() || status.IsTimedOut() ||
      status.IsShutdownInProgress() || status.IsIOError()) {
    return absl::UnavailableError(message);
  }
  return absl::InternalError(message);
}

absl::StatusOr<std::shared_ptr<Database>> Database::Open(
    const std::string& directory, const StoreOptions& options) {
  if (directory.empty()) {
    return absl::InvalidArgumentError("the store needs a directory");
  }
  rocksdb::Env* env =
      options.env != nullptr ? options.env : rocksdb::Env::Default();
  // The memtables are empty after opening, too.
  auto memtable_sealed = std::make_shared<std::atomic<bool>>(true);
  const rocksdb::DBOptions db_options =
      DatabaseOptions(options, memtable_sealed);
  // Before anything changes: another version may want it back.
  if (absl::Status status = CheckFamilies(db_options, directory);
      !status.ok()) {
    return status;
  }
  if (!options.read_only) {
    if (absl::Status status = CreateDirectory(env, directory); !status.ok()) {
      return status;
    }
    absl::Status sealed = CheckCurrent(env, directory);
    if (sealed.ok() && !options.recover_to_last_intact_write) {
      sealed = CheckSeal(env, directory);
    }
    // What follows changes files: a seal that stayed would be wrong.
    if (sealed.ok()) sealed = RemoveSeal(env, directory);
    if (!sealed.ok()) return sealed;
  }
  const std::shared_ptr<rocksdb::Cache> cache =
      rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  const int families = options.read_only && LacksReadable(db_options, directory)
                           ? kReadable
                           : kFamilyCount;
  for (int family = 0; family < families; ++family) {
    descriptors.emplace_back(kFamilyNames[family],
                             FamilyOptions(static_cast<Family>(family), cache));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      options.read_only ? rocksdb::DB::OpenForReadOnly(
                              db_options, directory, descriptors, &handles, &db)
                        : rocksdb::DB::Open(db_options, directory, descriptors,
                                            &handles, &db);
  if (!status.ok()) {
    if (status.IsIOError() && absl::StrContains(status.ToString(), "LOCK")) {
      return absl::UnavailableError(absl::StrCat(
          "the store in ", directory,
          " is open already, here or in another process: ", status.ToString()));
    }
    return FromRocksDb(status,
                       absl::StrCat("cannot open the store in ", directory));
  }
  std::shared_ptr<Database> database(new Database());
  database->directory_ = directory;
  database->read_only_ = options.read_only;
  database->memtable_sealed_ = std::move(memtable_sealed);
  database->db_.reset(db);
  std::copy(handles.begin(), handles.end(), database->families_.begin());
  return database;
}

Database::~Database() {
  if (db_ != nullptr) Close();
}

void Database::Close() {
  rocksdb::Env* const env = db_->GetEnv();
  // With nothing left in the write-ahead log, a log that loses its tail later
  // loses nothing; and the next open has nothing to replay.
  bool whole = !read_only_;
  if (whole) {
    whole = db_->Flush(rocksdb::FlushOptions(),
                       {families_.begin(), families_.end()})
                .ok();
  }
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    if (family != nullptr) db_->DestroyColumnFamilyHandle(family);
  }
  whole = db_->Close().ok() && whole;
  db_.reset();
  // Without a seal the next open relies on RocksDB's own checks, as after a
  // crash.
  if (whole) (void)WriteSeal(env, directory_);
}

// RocksDB replaces a log that could not be written when it resumes, but only if
// a memtable holds something to be flushed; otherwise every further write would
// meet the broken log. So there is always something: a key that nobody reads,
// which needs no log.
rocksdb::Status Database::KeepMemtableFilled() const {
  if (!memtable_sealed_->exchange(false)) return rocksdb::Status::OK();
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  const rocksdb::Status status =
      db_->Put(options, families_[kMeta], keys::Filler(), rocksdb::Slice());
  if (!status.ok()) *memtable_sealed_ = true;
  return status;
}

bool Database::MemtablesAreEmpty() const {
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    uint64_t entries = 0;
    if (db_->GetIntProperty(family,
                            rocksdb::DB::Properties::kNumEntriesActiveMemTable,
                            &entries) &&
        entries > 0) {
      return false;
    }
  }
  return true;
}

rocksdb::Status Database::Resume() const {
  const bool empty = MemtablesAreEmpty();
  rocksdb::Status status = db_->Resume();
  if (!status.ok() || !empty) return status;
  // The write that failed had just begun a new memtable, so the log may still
  // be the broken one. Flushing tries to replace it. A broken log refuses that,
  // but now there is something in memory, and resuming replaces it.
  *memtable_sealed_ = true;
  status = KeepMemtableFilled();
  if (!status.ok()) return status;
  if (db_->Flush(rocksdb::FlushOptions(), families_[kMeta]).ok()) {
    return rocksdb::Status::OK();
  }
  return db_->Resume();
}

absl::Status Database::Write(rocksdb::WriteBatch* batch, bool sync,
                             absl::string_view what) const {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  if (!failure_.ok()) {
    // A resumption that fails as well is not forgiven: RocksDB then refuses
    // writes until it is opened again. So the disk is asked first.
    const rocksdb::Status room = ProbeDisk(db_->GetEnv(), directory_);
    if (!room.ok()) return FromRocksDb(room, what);
    // A compaction that met the full disk would make the resumption that waits
    // for its end fail.
    if (db_->PauseBackgroundWork().ok()) (void)db_->ContinueBackgroundWork();
    const rocksdb::Status resumed = Resume();
    // Busy: RocksDB is trying by itself, for the same reason.
    if (resumed.IsBusy()) return FromRocksDb(failure_, what);
    if (!resumed.ok()) return FromRocksDb(resumed, what);
  }
  failure_ = KeepMemtableFilled();
  if (!failure_.ok()) return FromRocksDb(failure_, what);
  rocksdb::WriteOptions options;
  options.sync = sync;
  failure_ = db_->Write(options, batch);
  return FromRocksDb(failure_, what);
}

absl::Status Database::Checkpoint(const std::string& directory) const {
  rocksdb::Checkpoint* created = nullptr;
  absl::Status status =
      FromRocksDb(rocksdb::Checkpoint::Create(db_.get(), &created),
                  "preparing a checkpoint");
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
  if (!status.ok()) return status;
  return FromRocksDb(checkpoint->CreateCheckpoint(directory),
                     absl::StrCat("writing a checkpoint to ", directory));
}

absl::StatusOr<std::optional<rocksdb::PinnableSlice>> Database::Get(
    const rocksdb::Snapshot* snapshot, Family family,
    const std::string& key) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  std::optional<rocksdb::PinnableSlice> value(std::in_place);
  const rocksdb::Status status =
      db_->Get(options, families_[family], key, &*value);
  if (status.IsNotFound()) return std::optional<rocksdb::PinnableSlice>();
  if (!status.ok()) return FromRocksDb(status, "reading the store");
  return value;
}

}  // namespace braid::retrieval
