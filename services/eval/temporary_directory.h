// A directory that goes when its owner goes.
#ifndef BRAID_SERVICES_EVAL_TEMPORARY_DIRECTORY_H_
#define BRAID_SERVICES_EVAL_TEMPORARY_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"

namespace braid::services {

class TemporaryDirectory {
 public:
  // In $TMPDIR, or /tmp.
  static absl::StatusOr<TemporaryDirectory> Create();
  // Removes it with everything in it.
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path);
  std::string path_;  // empty once moved from
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_TEMPORARY_DIRECTORY_H_
