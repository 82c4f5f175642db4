#include "services/cli/file_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace braid::services::cli {
namespace {

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

}  // namespace

FileWatch::FileWatch(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)) {
  std::vector<retrieval::FileError> errors;
  files_ = Scan(&errors);
  for (auto& [path, file] : files_) file.reported = true;
}

std::map<std::string, FileWatch::File> FileWatch::Scan(
    std::vector<retrieval::FileError>* errors) const {
  retrieval::FileList list = retrieval::ExpandPaths(arguments_);
  *errors = std::move(list.errors);
  std::map<std::string, File> files;
  for (const retrieval::FoundFile& found : list.files) {
    struct stat info;
    if (stat(found.path.c_str(), &info) != 0) continue;  // gone meanwhile
    files[found.path] = {found.document_id,
                         {info.st_dev, info.st_ino, info.st_size,
                          Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim)},
                         false};
  }
  return files;
}

FileWatch::Changes FileWatch::Look() {
  Changes changes;
  std::map<std::string, File> now = Scan(&changes.errors);
  for (auto& [path, file] : now) {
    const auto before = files_.find(path);
    if (before == files_.end() || before->second.stamp != file.stamp) continue;
    file.reported = true;
    if (!before->second.reported) changes.changed.insert(path);
  }
  for (auto& [path, file] : files_) {
    if (now.contains(path)) continue;
    if (changes.errors.empty()) {
      changes.disappeared.push_back(file.document_id);
    } else {
      now.emplace(path, file);
    }
  }
  files_ = std::move(now);
  return changes;
}

bool FileWatch::Has(const std::string& document_id) const {
  return std::any_of(files_.begin(), files_.end(), [&](const auto& file) {
    return file.second.document_id == document_id;
  });
}

void FileWatch::Forget(const std::set<std::string>& paths) {
  for (const std::string& path : paths) {
    const auto file = files_.find(path);
    if (file != files_.end()) file->second.reported = false;
  }
}

}  // namespace braid::services::cli
