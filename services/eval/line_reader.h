// Reads text files line by line, gzip or plain.
#ifndef BRAID_SERVICES_EVAL_LINE_READER_H_
#define BRAID_SERVICES_EVAL_LINE_READER_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace braid::services {

// Longest line that is read: a line holds one document at most.
inline constexpr size_t kMaxLineBytes = 64 << 20;

// Calls `visit` with each line that is not blank, without its line end, and its
// number from 1. gzip is recognised by content, not by name. Stops at the first
// error of `visit`, which is returned with `path:line: ` in front. NOT_FOUND,
// DATA_LOSS for a damaged gzip file, RESOURCE_EXHAUSTED for a line that is too
// long.
absl::Status ForEachLine(
    const std::string& path,
    const std::function<absl::Status(size_t number, absl::string_view line)>&
        visit);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_LINE_READER_H_
