// AIP-160 filters over document metadata (https://google.aip.dev/160).
#ifndef BRAID_RETRIEVAL_FILTER_FILTER_H_
#define BRAID_RETRIEVAL_FILTER_FILTER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// A parsed filter. Supports AND, OR, NOT and `-`, parentheses, the comparisons
// = != < <= > >= and `:` (has: a field is there with `field:*`, or a list or
// string holds a value), bare and quoted values, and trailing `*` in string
// equality. As AIP-160 asks, OR binds tighter than AND, and juxtaposition means
// AND. Besides metadata the fields `document_id`, `title` and `media_type` can
// be named. A comparison with a field that is absent, or of another type, is
// false. Immutable; thread-safe.
class Filter {
 public:
  // INVALID_ARGUMENT naming the byte position. Text over 16 KiB, more than 1,000
  // terms or nesting over 50 is refused.
  static absl::StatusOr<Filter> Parse(absl::string_view text);
  ~Filter();
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;

  bool Matches(const DocumentInfo& document) const;

 private:
  struct Node;
  explicit Filter(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_FILTER_FILTER_H_
