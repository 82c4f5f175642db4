#include "retrieval/store/seal.h"

#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "retrieval/store/database.h"
#include "rocksdb/env.h"

namespace braid::retrieval {
namespace {

constexpr char kName[] = "SEAL";
constexpr char kTemporaryName[] = "SEAL.tmp";
constexpr char kFirstLine[] = "braid store 1";
// In the place of a hash: only the size is listed.
constexpr char kNoHash[] = "-";

std::string Sha256(absl::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

bool IsTable(absl::string_view name) { return absl::EndsWith(name, ".sst"); }
// What RocksDB opens a store by. Its OPTIONS, IDENTITY and LOCK hold no data.
bool IsListed(absl::string_view name) {
  return IsTable(name) || absl::EndsWith(name, ".log") || name == "CURRENT" ||
         absl::StartsWith(name, "MANIFEST-");
}

struct Entry {
  uint64_t bytes = 0;
  std::string hash;  // hex, or kNoHash
  friend bool operator==(const Entry&, const Entry&) = default;
};
using Entries = std::map<std::string, Entry>;

absl::StatusOr<Entries> ReadDirectory(rocksdb::Env* env,
                                      const std::string& directory) {
  std::vector<std::string> names;
  if (absl::Status status = FromRocksDb(env->GetChildren(directory, &names),
                                        absl::StrCat("listing ", directory));
      !status.ok()) {
    return status;
  }
  Entries entries;
  for (const std::string& name : names) {
    if (!IsListed(name)) continue;
    const std::string path = absl::StrCat(directory, "/", name);
    Entry& entry = entries[name];
    rocksdb::Status status;
    if (IsTable(name)) {
      status = env->GetFileSize(path, &entry.bytes);
      entry.hash = kNoHash;
    } else {
      std::string content;
      status = rocksdb::ReadFileToString(env, path, &content);
      entry.bytes = content.size();
      entry.hash = Sha256(content);
    }
    if (!status.ok()) return FromRocksDb(status, path);
  }
  return entries;
}

std::string Format(const Entries& entries) {
  std::string text = absl::StrCat(kFirstLine, "\n");
  for (const auto& [name, entry] : entries) {
    absl::StrAppend(&text, entry.hash, " ", entry.bytes, " ", name, "\n");
  }
  return absl::StrCat(text, Sha256(text), "\n");
}

absl::StatusOr<Entries> Parse(const std::string& path,
                              const std::string& content) {
  Entries entries;
  std::vector<std::string> lines = absl::StrSplit(content, '\n');
  for (size_t i = 1; i + 2 < lines.size(); ++i) {
    const std::vector<std::string> fields =
        absl::StrSplit(lines[i], absl::MaxSplits(' ', 2));
    Entry entry;
    if (fields.size() == 3 && absl::SimpleAtoi(fields[1], &entry.bytes)) {
      entry.hash = fields[0];
      entries[fields[2]] = entry;
    }
  }
  // Whatever was misread does not come out the same.
  if (Format(entries) != content) {
    return absl::DataLossError(absl::StrCat(path, ": is damaged"));
  }
  return entries;
}

absl::Status SyncDirectory(rocksdb::Env* env, const std::string& directory) {
  std::unique_ptr<rocksdb::Directory> handle;
  rocksdb::Status status = env->NewDirectory(directory, &handle);
  if (status.ok()) status = handle->Fsync();
  return FromRocksDb(status, absl::StrCat("syncing ", directory));
}

}  // namespace

absl::Status WriteSeal(rocksdb::Env* env, const std::string& directory) {
  const absl::StatusOr<Entries> entries = ReadDirectory(env, directory);
  if (!entries.ok()) return entries.status();
  const std::string temporary = absl::StrCat(directory, "/", kTemporaryName);
  rocksdb::Status status = rocksdb::WriteStringToFile(
      env, Format(*entries), temporary, /*should_sync=*/true);
  if (status.ok()) {
    status = env->RenameFile(temporary, absl::StrCat(directory, "/", kName));
  }
  if (!status.ok()) return FromRocksDb(status, "sealing the store");
  return SyncDirectory(env, directory);
}

absl::Status CheckSeal(rocksdb::Env* env, const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kName);
  if (!env->FileExists(path).ok()) return absl::OkStatus();
  std::string content;
  if (absl::Status status =
          FromRocksDb(rocksdb::ReadFileToString(env, path, &content), path);
      !status.ok()) {
    return status;
  }
  const absl::StatusOr<Entries> sealed = Parse(path, content);
  if (!sealed.ok()) return sealed.status();
  const absl::StatusOr<Entries> found = ReadDirectory(env, directory);
  if (!found.ok()) return found.status();
  const auto damaged = [&](const std::string& name, absl::string_view what) {
    return absl::DataLossError(absl::StrCat(directory, "/", name, ": ", what,
                                            " since the store was closed"));
  };
  for (const auto& [name, entry] : *sealed) {
    const auto now = found->find(name);
    if (now == found->end()) return damaged(name, "is missing");
    if (now->second.bytes != entry.bytes) {
      return damaged(name, absl::StrCat("has ", now->second.bytes,
                                        " bytes instead of ", entry.bytes));
    }
    if (now->second != entry) return damaged(name, "has changed");
  }
  for (const auto& [name, entry] : *found) {
    if (!sealed->contains(name)) return damaged(name, "has been added");
  }
  return absl::OkStatus();
}

absl::Status RemoveSeal(rocksdb::Env* env, const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kName);
  if (!env->FileExists(path).ok()) return absl::OkStatus();
  if (absl::Status status = FromRocksDb(env->DeleteFile(path), path);
      !status.ok()) {
    return status;
  }
  return SyncDirectory(env, directory);
}

}  // namespace braid::retrieval
