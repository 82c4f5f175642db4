#include "services/backup/backup_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "generation/checkpoint/json_file.h"
#include "services/backup/files.h"

namespace braid::services::backup {
namespace {

using Json = nlohmann::json;

constexpr char kManifestName[] = "backup.json";
constexpr char kStoreName[] = "store";
constexpr char kFormat[] = "braid backup 1";
constexpr size_t kMaxManifestBytes = 64 << 20;
// So much may be unsynced while a file is written: a sync at the end of a large
// one would keep whoever sends it waiting.
constexpr uint64_t kSyncBytes = 32 << 20;

bool IsFileName(absl::string_view name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

std::string StorePath(const std::string& directory, const std::string& name) {
  return absl::StrCat(directory, "/", kStoreName, "/", name);
}

absl::StatusOr<std::string> Sha256(absl::string_view bytes) {
  hub::StreamDigest digest(hub::DigestKind::kSha256, bytes.size());
  digest.Add(bytes);
  return digest.Finish();
}

// The list on one line, and its own checksum on the next.
absl::StatusOr<std::string> Format(const BackupManifest& manifest) {
  Json files = Json::array();
  for (const BackupEntry& entry : manifest.files) {
    files.push_back({{"name", entry.name},
                     {"bytes", entry.bytes},
                     {"sha256", entry.sha256}});
  }
  const Json json = {
      {"format", kFormat},
      {"version", manifest.version},
      {"create_time", absl::FormatTime(absl::RFC3339_full, manifest.create_time,
                                       absl::UTCTimeZone())},
      {"files", files}};
  const std::string line = json.dump();
  const absl::StatusOr<std::string> checksum = Sha256(line);
  if (!checksum.ok()) return checksum.status();
  return absl::StrCat(line, "\n", *checksum, "\n");
}

absl::StatusOr<BackupManifest> Parse(const std::string& path,
                                     const std::string& text) {
  const auto damaged = [&path](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path, ": ", what));
  };
  const size_t end = text.find('\n');
  if (end == std::string::npos) return damaged("is not a list of files");
  const std::string line = text.substr(0, end);
  const absl::StatusOr<std::string> checksum = Sha256(line);
  if (!checksum.ok()) return checksum.status();
  if (text.substr(end + 1) != *checksum + "\n") {
    return damaged("does not match its checksum");
  }
  const absl::StatusOr<Json> parsed = model::ParseJsonObject(line, path);
  if (!parsed.ok()) return damaged("is not a list of files");
  const Json& json = *parsed;
  // nlohmann-json reports a wrong type by an exception: it ends here.
  try {
    if (json.at("format") != kFormat) return damaged("has another format");
    BackupManifest manifest;
    manifest.version = json.at("version").get<std::string>();
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full,
                         json.at("create_time").get<std::string>(),
                         &manifest.create_time, &error)) {
      return damaged("has no time");
    }
    std::set<std::string> names;
    for (const Json& file : json.at("files")) {
      if (!file.at("bytes").is_number_unsigned()) {
        return damaged("has a file of no size");
      }
      BackupEntry entry{.name = file.at("name").get<std::string>(),
                        .bytes = file.at("bytes").get<uint64_t>(),
                        .sha256 = file.at("sha256").get<std::string>()};
      if (!IsFileName(entry.name) || !names.insert(entry.name).second ||
          !hub::IsDigest(hub::DigestKind::kSha256, entry.sha256)) {
        return damaged("has a file that no backup has");
      }
      manifest.files.push_back(std::move(entry));
    }
    return manifest;
  } catch (const Json::exception&) {
    return damaged("is not a list of files");
  }
}

absl::StatusOr<BackupManifest> ReadManifest(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kManifestName);
  const absl::StatusOr<std::string> text =
      model::ReadSmallFile(path, kMaxManifestBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": is no backup: no ", kManifestName));
  }
  if (absl::IsInvalidArgument(text.status())) {
    return absl::DataLossError(text.status().message());
  }
  if (!text.ok()) return text.status();
  return Parse(path, *text);
}

// Compares an open file with its entry.
absl::Status CheckFile(int file, const std::string& path,
                       const BackupEntry& entry, BytesRead seen,
                       const std::stop_token& stop) {
  struct stat info;
  if (::fstat(file, &info) != 0) return FileError(path, "inspect");
  if (!S_ISREG(info.st_mode) ||
      static_cast<uint64_t>(info.st_size) != entry.bytes) {
    return absl::DataLossError(absl::StrCat(path, ": has ", info.st_size,
                                            " bytes instead of ", entry.bytes));
  }
  hub::StreamDigest digest(hub::DigestKind::kSha256, entry.bytes);
  uint64_t told = 0;
  const absl::StatusOr<uint64_t> read = hub::AddFile(
      file, path, entry.bytes, &digest,
      [&](uint64_t done) { seen(done - std::exchange(told, done)); }, stop);
  if (!read.ok()) return read.status();
  const absl::StatusOr<std::string> checksum = digest.Finish();
  if (!checksum.ok()) return checksum.status();
  if (*read != entry.bytes || *checksum != entry.sha256) {
    return absl::DataLossError(
        absl::StrCat(path, ": does not match its checksum"));
  }
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(path, ": cannot remove: ", error.message()));
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(path, ": cannot create: ", error.message()));
}

// Takes the lock that an open store holds; the descriptor holds it, -1 where
// there is no store.
absl::StatusOr<int> LockStore(const std::string& store) {
  const std::string path = store + "/LOCK";
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return -1;
    return FileError(path, "open");
  }
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file, F_SETLK, &lock) != 0) {
    ::close(file);
    return absl::UnavailableError(
        absl::StrCat(store, ": is open in another process"));
  }
  return file;
}

absl::Status CopyFiles(const std::string& backup,
                       const BackupManifest& manifest, const std::string& to,
                       BytesRead seen, const std::stop_token& stop) {
  for (const BackupEntry& entry : manifest.files) {
    const std::string source = StorePath(backup, entry.name);
    const std::string target = absl::StrCat(to, "/", entry.name);
    std::error_code error;
    std::filesystem::copy_file(source, target, error);
    if (error) {
      const std::string text = absl::StrCat("cannot copy ", source, " to ",
                                            target, ": ", error.message());
      return error == std::errc::no_space_on_device
                 ? absl::ResourceExhaustedError(text)
                 : absl::UnavailableError(text);
    }
    // What counts is what has arrived.
    const absl::StatusOr<int> file = OpenFile(target);
    if (!file.ok()) return file.status();
    absl::Status status = CheckFile(*file, target, entry, seen, stop);
    status.Update(SyncAndClose(*file, target));
    if (!status.ok()) return status;
  }
  return SyncDirectory(to);
}

}  // namespace

uint64_t BackupManifest::TotalBytes() const {
  uint64_t total = 0;
  for (const BackupEntry& entry : files) total += entry.bytes;
  return total;
}

absl::StatusOr<std::unique_ptr<BackupWriter>> BackupWriter::Create(
    const std::string& directory) {
  std::string name = directory;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  std::error_code error;
  if (name.empty() || std::filesystem::exists(name, error)) {
    return absl::AlreadyExistsError(absl::StrCat(
        directory, ": is there already; a backup gets a name of its own"));
  }
  std::unique_ptr<BackupWriter> writer(
      new BackupWriter(name, name + ".partial"));
  // What an interrupted one has left.
  absl::Status status = RemoveTree(writer->partial_);
  if (status.ok()) {
    status = MakeDirectory(absl::StrCat(writer->partial_, "/", kStoreName));
  }
  if (!status.ok()) return status;
  writer->manifest_.version = BRAID_VERSION;
  writer->manifest_.create_time = absl::Now();
  return writer;
}

BackupWriter::~BackupWriter() {
  if (file_ >= 0) ::close(file_);
  if (!finished_) (void)RemoveTree(partial_);
}

absl::Status BackupWriter::BeginFile(const std::string& name, uint64_t bytes) {
  if (!IsFileName(name) || file_ >= 0) {
    return absl::InvalidArgumentError("the backup has an impossible file name");
  }
  const absl::StatusOr<int> file = CreateFile(StorePath(partial_, name));
  if (!file.ok()) return file.status();
  file_ = *file;
  written_ = 0;
  unsynced_ = 0;
  digest_ =
      std::make_unique<hub::StreamDigest>(hub::DigestKind::kSha256, bytes);
  manifest_.files.push_back({.name = name, .bytes = bytes, .sha256 = ""});
  return absl::OkStatus();
}

absl::Status BackupWriter::Append(absl::string_view data) {
  if (file_ < 0 || data.size() > manifest_.files.back().bytes - written_) {
    return absl::DataLossError("the backup has more bytes than it announced");
  }
  const std::string path = StorePath(partial_, manifest_.files.back().name);
  digest_->Add(data);
  written_ += data.size();
  unsynced_ += data.size();
  if (absl::Status status = WriteAll(file_, path, data); !status.ok()) {
    return status;
  }
  if (unsynced_ < kSyncBytes) return absl::OkStatus();
  unsynced_ = 0;
  return ::fdatasync(file_) == 0 ? absl::OkStatus() : FileError(path, "sync");
}

absl::Status BackupWriter::EndFile(const std::string& sha256) {
  if (file_ < 0) return absl::DataLossError("the backup ends no file");
  BackupEntry& entry = manifest_.files.back();
  const std::string path = StorePath(partial_, entry.name);
  absl::Status status = SyncAndClose(std::exchange(file_, -1), path);
  if (!status.ok()) return status;
  absl::StatusOr<std::string> checksum = digest_->Finish();
  if (!checksum.ok()) return checksum.status();
  if (written_ != entry.bytes || *checksum != sha256) {
    return absl::DataLossError(
        absl::StrCat(entry.name, ": did not arrive as it was sent"));
  }
  entry.sha256 = *std::move(checksum);
  return absl::OkStatus();
}

absl::StatusOr<BackupManifest> BackupWriter::Finish() {
  if (file_ >= 0) return absl::DataLossError("the backup ends within a file");
  const absl::StatusOr<std::string> text = Format(manifest_);
  if (!text.ok()) return text.status();
  const std::string path = absl::StrCat(partial_, "/", kManifestName);
  const absl::StatusOr<int> file = CreateFile(path);
  if (!file.ok()) return file.status();
  absl::Status status = WriteAll(*file, path, *text);
  status.Update(SyncAndClose(*file, path));
  if (status.ok()) {
    status = SyncDirectory(absl::StrCat(partial_, "/", kStoreName));
  }
  if (status.ok()) status = SyncDirectory(partial_);
  if (!status.ok()) return status;
  // Fails if the name was taken meanwhile.
  if (std::rename(partial_.c_str(), directory_.c_str()) != 0) {
    return FileError(directory_, "rename to");
  }
  finished_ = true;
  const std::filesystem::path parent =
      std::filesystem::path(directory_).parent_path();
  status = SyncDirectory(parent.empty() ? "." : parent.string());
  if (!status.ok()) return status;
  return manifest_;
}

absl::StatusOr<BackupManifest> VerifyBackup(const std::string& directory,
                                            BytesRead seen,
                                            const std::stop_token& stop) {
  absl::StatusOr<BackupManifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return manifest;
  for (const BackupEntry& entry : manifest->files) {
    const std::string path = StorePath(directory, entry.name);
    const absl::StatusOr<int> file = OpenFile(path);
    if (absl::IsNotFound(file.status())) {
      return absl::DataLossError(file.status().message());
    }
    if (!file.ok()) return file.status();
    const absl::Status status = CheckFile(*file, path, entry, seen, stop);
    ::close(*file);
    if (!status.ok()) return status;
  }
  return manifest;
}

absl::StatusOr<BackupManifest> RestoreBackup(const std::string& backup,
                                             const std::string& data_directory,
                                             bool replace, BytesRead seen,
                                             const std::stop_token& stop) {
  absl::StatusOr<BackupManifest> manifest = VerifyBackup(backup, seen, stop);
  if (!manifest.ok()) return manifest;
  std::error_code error;
  const std::string store = absl::StrCat(data_directory, "/", kStoreName);
  const std::string copy = store + ".restoring";
  const bool there = std::filesystem::exists(store, error);
  if (there && !replace && !std::filesystem::is_empty(store, error)) {
    return absl::FailedPreconditionError(absl::StrCat(
        data_directory, ": holds data already; --replace to lose it"));
  }
  const absl::StatusOr<int> lock = LockStore(store);
  if (!lock.ok()) return lock.status();
  const absl::Cleanup unlock = [&lock] {
    if (*lock >= 0) ::close(*lock);
  };
  absl::Status status = RemoveTree(copy);
  if (status.ok()) status = MakeDirectory(copy);
  if (status.ok()) status = CopyFiles(backup, *manifest, copy, seen, stop);
  // Before the exchange: indexes of another store must never meet this one.
  for (const char* name : {"indexes", "checkpoints"}) {
    if (status.ok())
      status = RemoveTree(absl::StrCat(data_directory, "/", name));
  }
  if (status.ok()) status = SyncDirectory(data_directory);
  if (status.ok()) {
    const int renamed = ::renameat2(AT_FDCWD, copy.c_str(), AT_FDCWD,
                                    store.c_str(), there ? RENAME_EXCHANGE : 0);
    if (renamed != 0) status = FileError(store, "exchange");
  }
  if (status.ok()) status = SyncDirectory(data_directory);
  // What was replaced, or what did not become a restored store.
  status.Update(RemoveTree(copy));
  if (!status.ok()) return status;
  return manifest;
}

}  // namespace braid::services::backup
