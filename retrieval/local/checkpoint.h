// The store as of one moment, for a backup.
#ifndef BRAID_RETRIEVAL_LOCAL_CHECKPOINT_H_
#define BRAID_RETRIEVAL_LOCAL_CHECKPOINT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// Lies in `{data}/checkpoints/` as hard links, which keep files of the store on
// the disk: copy it, then let go of it. Removed with the object; what a process
// that was killed left is removed at the next start. The indexes are no part of
// it: they are built from the store, which holds the vectors too.
class Checkpoint {
 public:
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Create(
      const Store& store, const std::string& data_directory);
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  const std::string& directory() const { return directory_; }
  // Names of its files, sorted.
  const std::vector<std::string>& files() const { return files_; }

  static absl::Status RemoveAll(const std::string& data_directory);

 private:
  explicit Checkpoint(std::string directory)
      : directory_(std::move(directory)) {}

  const std::string directory_;
  std::vector<std::string> files_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_CHECKPOINT_H_
