#include "services/hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::services::hub {
namespace {

std::string PartPath(const std::string& directory, const HubFile& file) {
  return absl::StrCat(directory, "/", file.name, ".part");
}

absl::Status FileError(const std::string& path, const char* what) {
  const int error = errno;
  const std::string message =
      absl::StrCat(path, ": ", what, ": ", std::strerror(error));
  return error == ENOSPC || error == EDQUOT
             ? absl::ResourceExhaustedError(message)
             : absl::FailedPreconditionError(message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PartFile>> PartFile::Open(
    const std::string& directory, const HubFile& file, ByteObserver on_checked,
    ByteObserver on_written, std::stop_token stop) {
  const std::string path = PartPath(directory, file);
  // A link that somebody left here must not be written through.
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return FileError(path, "cannot be opened");
  std::unique_ptr<PartFile> part(
      new PartFile(directory, file, fd, std::move(on_written)));
  struct stat facts;
  if (fstat(fd, &facts) != 0) return FileError(path, "cannot be examined");
  if (!S_ISREG(facts.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a file"));
  }
  const uint64_t there = static_cast<uint64_t>(facts.st_size);
  if (there > file.bytes) {
    // Of another version, or not ours.
    absl::Status status = part->Restart();
    if (!status.ok()) return status;
  } else if (there > 0) {
    absl::StatusOr<uint64_t> checked =
        AddFile(fd, path, there, &part->digest_, on_checked, stop);
    if (!checked.ok()) return checked.status();
    part->offset_ = *checked;
    part->resumed_ = true;
  }
  return part;
}

PartFile::PartFile(std::string directory, const HubFile& file, int fd,
                   ByteObserver on_written)
    : directory_(std::move(directory)),
      file_(file),
      path_(PartPath(directory_, file)),
      fd_(fd),
      on_written_(std::move(on_written)),
      digest_(file.digest_kind, file.bytes) {}

PartFile::~PartFile() { close(fd_); }

absl::Status PartFile::Begin(const HttpResponse& response) {
  const std::string& range = response.Header("content-range");
  if (response.status == 206 &&
      absl::StartsWith(range, absl::StrCat("bytes ", offset_, "-"))) {
    return absl::OkStatus();
  }
  const bool asked = offset_ > 0;
  absl::Status status = Restart();
  if (!status.ok() || response.status == 200) return status;
  const std::string message =
      absl::StrCat(file_.name, ": the hub sends another range (\"", range,
                   "\") than was asked for");
  // Without a range it may do better.
  return asked ? absl::AbortedError(message) : absl::DataLossError(message);
}

absl::Status PartFile::Write(absl::string_view bytes) {
  if (bytes.size() > file_.bytes - offset_) {
    return Discard(absl::StrCat("longer than the ", file_.bytes,
                                " bytes that the hub lists"));
  }
  received_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError(path_, "cannot be written");
    const auto count = static_cast<size_t>(written);
    digest_.Add(bytes.substr(0, count));
    offset_ += count;
    bytes.remove_prefix(count);
    on_written_(count);
  }
  return absl::OkStatus();
}

absl::Status PartFile::Restart() {
  if (ftruncate(fd_, 0) != 0) return FileError(path_, "cannot be truncated");
  digest_ = StreamDigest(file_.digest_kind, file_.bytes);
  offset_ = 0;
  resumed_ = false;
  return absl::OkStatus();
}

absl::Status PartFile::End() {
  if (offset_ == file_.bytes) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(file_.name, ": ended after ", offset_,
                                         " of ", file_.bytes, " bytes"));
}

absl::Status PartFile::Discard(const std::string& why) {
  unlink(path_.c_str());
  return absl::DataLossError(
      absl::StrCat(file_.name, ": ", why, "; what had arrived is deleted"));
}

absl::Status PartFile::Publish() {
  absl::StatusOr<std::string> digest = digest_.Finish();
  if (!digest.ok()) return digest.status();
  if (*digest != file_.digest) {
    return Discard(absl::StrCat("its ", DigestName(file_.digest_kind), " is ",
                                *digest, ", not ", file_.digest,
                                " as the hub lists"));
  }
  const std::string path = absl::StrCat(directory_, "/", file_.name);
  // A name must never stand for content that a power failure takes away.
  if (fdatasync(fd_) != 0) return FileError(path_, "cannot be written");
  if (rename(path_.c_str(), path.c_str()) != 0) {
    return FileError(path, "cannot be created");
  }
  const int directory =
      open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsThere(const std::string& directory, const HubFile& file,
                             const ByteObserver& on_checked,
                             std::stop_token stop) {
  const std::string path = absl::StrCat(directory, "/", file.name);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  const auto close_file = absl::MakeCleanup([fd] { close(fd); });
  struct stat facts;
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) ||
      static_cast<uint64_t>(facts.st_size) != file.bytes) {
    return false;
  }
  StreamDigest digest(file.digest_kind, file.bytes);
  absl::StatusOr<uint64_t> read =
      AddFile(fd, path, file.bytes, &digest, on_checked, stop);
  if (!read.ok()) return read.status();
  absl::StatusOr<std::string> found = digest.Finish();
  if (!found.ok()) return found.status();
  return *read == file.bytes && *found == file.digest;
}

uint64_t PartBytes(const std::string& directory, const HubFile& file) {
  struct stat facts;
  if (lstat(PartPath(directory, file).c_str(), &facts) != 0 ||
      !S_ISREG(facts.st_mode)) {
    return 0;
  }
  return static_cast<uint64_t>(facts.st_size);
}

}  // namespace braid::services::hub
