#include "retrieval/ingest/files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace braid::retrieval {
namespace {

namespace fs = std::filesystem;

absl::Status ErrorOf(const std::string& path, const std::error_code& error) {
  return absl::ErrnoToStatus(error.value(), path);
}

bool IsHidden(const fs::path& path) {
  return absl::StartsWith(path.filename().string(), ".");
}

// The argument as an id: "../docs//a.md" becomes "docs/a.md".
std::string IdOfArgument(absl::string_view argument) {
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(argument, '/')) {
    if (part.empty() || part == "." || part == "..") continue;
    parts.push_back(part);
  }
  return absl::StrJoin(parts, "/");
}

bool HasWildcard(absl::string_view argument) {
  return argument.find_first_of("*?[") != absl::string_view::npos;
}

class Expander {
 public:
  void Add(const std::string& argument) {
    if (argument == kStdinPath) {
      AddFile(argument, "stdin");
      return;
    }
    std::error_code error;
    const fs::file_status status = fs::status(argument, error);
    if (fs::exists(status)) {
      AddExisting(argument, status);
    } else if (HasWildcard(argument)) {
      AddPattern(argument);
    } else {
      list_.errors.push_back(
          {argument, error ? ErrorOf(argument, error)
                           : absl::NotFoundError(absl::StrCat(
                                 argument, ": no such file or directory"))});
    }
  }

  FileList Take() { return std::move(list_); }

 private:
  void AddExisting(const std::string& path, const fs::file_status& status) {
    if (fs::is_directory(status)) {
      AddDirectory(path);
    } else if (fs::is_regular_file(status)) {
      AddFile(path, IdOfArgument(path));
    } else {
      list_.errors.push_back({path, absl::InvalidArgumentError(absl::StrCat(
                                        path, ": not a file or directory"))});
    }
  }

  void AddFile(const std::string& path, std::string id) {
    if (!seen_.insert(path).second) return;
    list_.files.push_back({path, std::move(id)});
  }

  void AddPattern(const std::string& pattern) {
    glob_t matches;
    const int code = glob(pattern.c_str(), 0, nullptr, &matches);
    if (code == 0) {
      for (size_t i = 0; i < matches.gl_pathc; ++i) {
        const std::string path = matches.gl_pathv[i];
        std::error_code error;
        AddExisting(path, fs::status(path, error));
      }
    } else {
      list_.errors.push_back({pattern, absl::NotFoundError(absl::StrCat(
                                           pattern, ": no file matches"))});
    }
    globfree(&matches);
  }

  void AddDirectory(const std::string& root) {
    std::error_code error;
    const fs::path canonical_root = fs::canonical(root, error);
    std::vector<std::string> found;
    // An explicit stack: one unreadable directory must not end the walk.
    std::vector<fs::path> directories = {root};
    while (!directories.empty()) {
      const fs::path directory = std::move(directories.back());
      directories.pop_back();
      fs::directory_iterator entries(directory, error);
      if (error) {
        list_.errors.push_back(
            {directory.string(), ErrorOf(directory.string(), error)});
        continue;
      }
      while (entries != fs::directory_iterator()) {
        AddEntry(*entries, canonical_root, &directories, &found);
        entries.increment(error);
        if (error) {
          list_.errors.push_back(
              {directory.string(), ErrorOf(directory.string(), error)});
          break;
        }
      }
    }
    std::sort(found.begin(), found.end());
    for (const std::string& path : found) {
      AddFile(path, fs::path(path).lexically_relative(root).generic_string());
    }
  }

  void AddEntry(const fs::directory_entry& entry,
                const fs::path& canonical_root,
                std::vector<fs::path>* directories,
                std::vector<std::string>* found) {
    if (IsHidden(entry.path())) return;
    std::error_code error;
    const bool link = entry.is_symlink(error);
    const fs::file_status status = entry.status(error);
    if (error && !fs::exists(status)) {
      list_.errors.push_back(
          {entry.path().string(), ErrorOf(entry.path().string(), error)});
      return;
    }
    if (fs::is_directory(status)) {
      if (!link) directories->push_back(entry.path());
      return;
    }
    if (!fs::is_regular_file(status)) return;
    if (link && !IsInside(entry.path(), canonical_root)) return;
    found->push_back(entry.path().string());
  }

  // Whether the file that `path` leads to lies below `root`.
  static bool IsInside(const fs::path& path, const fs::path& root) {
    std::error_code error;
    const fs::path target = fs::canonical(path, error);
    if (error) return false;
    const auto [end, unused] =
        std::mismatch(root.begin(), root.end(), target.begin(), target.end());
    return end == root.end();
  }

  FileList list_;
  std::set<std::string> seen_;
};

// Closes a descriptor that it owns.
class Descriptor {
 public:
  Descriptor(int fd, bool owned) : fd_(fd), owned_(owned) {}
  ~Descriptor() {
    if (owned_ && fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
  const bool owned_;
};

}  // namespace

FileList ExpandPaths(absl::Span<const std::string> arguments) {
  Expander expander;
  for (const std::string& argument : arguments) expander.Add(argument);
  return expander.Take();
}

absl::StatusOr<SourceFile> ReadSourceFile(const FoundFile& file,
                                          size_t max_bytes) {
  const bool from_stdin = file.path == kStdinPath;
  // Non-blocking, so that a named pipe put there meanwhile cannot hang us.
  const Descriptor fd(
      from_stdin ? STDIN_FILENO
                 : open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK),
      !from_stdin);
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, file.path);
  struct stat info;
  if (!from_stdin) {
    if (fstat(fd.get(), &info) != 0) {
      return absl::ErrnoToStatus(errno, file.path);
    }
    if (!S_ISREG(info.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path, ": not a regular file"));
    }
  }
  SourceFile source;
  source.document_id = file.document_id;
  source.file_name = from_stdin ? "stdin" : file.path;
  source.metadata["path"] = file.document_id;
  char buffer[64 << 10];
  while (true) {
    const ssize_t count = read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, file.path);
    if (count == 0) break;
    if (source.content.size() + count > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(file.path, ": larger than ", max_bytes, " bytes"));
    }
    source.content.append(buffer, count);
  }
  return source;
}

}  // namespace braid::retrieval
