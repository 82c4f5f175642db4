// Files that a program writes whole.
#ifndef BRAID_SERVICES_EVAL_TEXT_FILE_H_
#define BRAID_SERVICES_EVAL_TEXT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::services {

// INVALID_ARGUMENT unless the name ends in one of `endings`; NOT_FOUND if its
// directory is not there. For a look before long work is begun.
absl::Status CheckOutputPath(const std::string& path,
                             absl::Span<const absl::string_view> endings);

// Writes `path` + ".partial" and renames it, so that a file that is there is
// replaced only by a whole one. FAILED_PRECONDITION where it cannot be created,
// DATA_LOSS where it cannot be written, naming the file and the reason.
absl::Status WriteTextFile(const std::string& path, absl::string_view text);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_TEXT_FILE_H_
