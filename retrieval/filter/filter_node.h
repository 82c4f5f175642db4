// The syntax tree of a filter.
#ifndef BRAID_RETRIEVAL_FILTER_FILTER_NODE_H_
#define BRAID_RETRIEVAL_FILTER_FILTER_NODE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::retrieval {

enum class Comparator {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kHas
};

// The right side of a comparison, read once in every way a field may ask for.
struct FilterValue {
  std::string text;              // as written, escapes resolved
  std::string pattern;           // `text` without the stars at its ends
  bool open_begin = false;       // a star stood before `pattern`
  bool open_end = false;         // a star stood after it
  std::optional<double> number;  // if bare and a number
  std::optional<bool> boolean;   // if bare and true or false

  bool is_pattern() const { return open_begin || open_end; }
  // `*` alone.
  bool is_anything() const { return is_pattern() && pattern.empty(); }
};

struct FilterNode {
  enum class Kind { kAnd, kOr, kNot, kComparison, kAnyField };

  Kind kind = Kind::kAnd;
  std::vector<std::unique_ptr<FilterNode>> children;  // kNot has one
  std::string field;                                  // kComparison
  Comparator comparator = Comparator::kHas;           // kComparison
  FilterValue value;  // kComparison and kAnyField
};

// Null for an empty filter.
absl::StatusOr<std::unique_ptr<FilterNode>> ParseFilter(absl::string_view text);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_FILTER_FILTER_NODE_H_
