#include "services/backup/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace braid::services::backup {

absl::Status FileError(const std::string& path, absl::string_view action) {
  const int error = errno;
  const std::string text =
      absl::StrCat(path, ": cannot ", action, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(text);
    case EEXIST:
    case ENOTEMPTY:
      return absl::AlreadyExistsError(text);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

absl::StatusOr<int> CreateFile(const std::string& path) {
  const int file =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return FileError(path, "create");
  return file;
}

absl::StatusOr<int> OpenFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return FileError(path, "open");
  return file;
}

absl::Status WriteAll(int file, const std::string& path,
                      absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(file, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return FileError(path, "write");
    }
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status SyncAndClose(int file, const std::string& path) {
  const absl::Status status =
      ::fsync(file) == 0 ? absl::OkStatus() : FileError(path, "sync");
  if (::close(file) != 0 && status.ok()) return FileError(path, "close");
  return status;
}

absl::Status SyncDirectory(const std::string& directory) {
  const int file =
      ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return FileError(directory, "open");
  return SyncAndClose(file, directory);
}

}  // namespace braid::services::backup
