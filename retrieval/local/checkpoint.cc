#include "retrieval/local/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

std::string Root(const std::string& data_directory) {
  return data_directory + "/checkpoints";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Create(
    const Store& store, const std::string& data_directory) {
  // A data directory belongs to one process.
  static std::atomic<uint64_t> next = 0;
  const std::string root = Root(data_directory);
  std::error_code error;
  std::filesystem::create_directories(root, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot create ", root, ": ", error.message()));
  }
  std::unique_ptr<Checkpoint> checkpoint(
      new Checkpoint(absl::StrCat(root, "/", ++next)));
  if (absl::Status status = store.Checkpoint(checkpoint->directory_);
      !status.ok()) {
    return status;
  }
  for (std::filesystem::directory_iterator entry(checkpoint->directory_, error),
       end;
       !error && entry != end; entry.increment(error)) {
    checkpoint->files_.push_back(entry->path().filename().string());
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat(
        "cannot list ", checkpoint->directory_, ": ", error.message()));
  }
  std::sort(checkpoint->files_.begin(), checkpoint->files_.end());
  return checkpoint;
}

Checkpoint::~Checkpoint() {
  std::error_code error;  // tried again at the next start
  std::filesystem::remove_all(directory_, error);
}

absl::Status Checkpoint::RemoveAll(const std::string& data_directory) {
  std::error_code error;
  std::filesystem::remove_all(Root(data_directory), error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "cannot remove ", Root(data_directory), ": ", error.message()));
}

}  // namespace braid::retrieval
