// AIP-160 filters over document metadata (https://google.aip.dev/160).
#ifndef BRAID_RETRIEVAL_FILTER_FILTER_H_
#define BRAID_RETRIEVAL_FILTER_FILTER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace braid::retrieval {

struct FilterNode;

// A parsed filter. Supports AND, OR, NOT and `-`, parentheses, the comparisons
// = != < <= > >= and `:` (has: a field is there with `field:*`, or a list or
// string holds a value), and bare and quoted values. As AIP-160 asks, OR binds
// tighter than AND, and juxtaposition means AND. An empty filter matches all.
//
//  - `=` and `!=` take `*` at either end of a string for anything; `\*` in a
//    quoted value is a plain star. `:` on a string means "contains", on a list
//    "has this item"; < and > order strings by bytes.
//  - A bare value is a number, a boolean or a string as the field asks; a
//  quoted
//    one is a string. A comparison with a field that is absent, or of another
//    type, is false, `!=` included.
//  - A value alone matches documents any of whose fields `:` it.
//  - Besides metadata the fields `document_id`, `title` and `media_type` can be
//    named; `metadata.title` is the metadata of that name. Names with other
//    characters are quoted.
//
// Immutable; thread-safe.
class Filter {
 public:
  // INVALID_ARGUMENT naming the byte position (from 0). Text over 16 KiB, more
  // than 1,000 terms or nesting over 50 is refused.
  static absl::StatusOr<Filter> Parse(absl::string_view text);
  ~Filter();
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;

  bool Matches(const DocumentInfo& document) const;

 private:
  explicit Filter(std::unique_ptr<FilterNode> root);
  std::unique_ptr<FilterNode> root_;  // null: matches all
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_FILTER_FILTER_H_
