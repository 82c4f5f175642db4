// Paths of google.api.http, such as `/v1/{name=collections/*/documents/**}`.
#ifndef BRAID_SERVICES_ADAPTERS_PATH_TEMPLATE_H_
#define BRAID_SERVICES_ADAPTERS_PATH_TEMPLATE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::services::adapters {

// Syntax and meaning as in google/api/http.proto: `*` is one segment, `**` the
// rest, at the end alone; a variable is a run of segments; `:verb` ends it.
class PathTemplate {
 public:
  // INVALID_ARGUMENT for what does not follow the syntax.
  static absl::StatusOr<PathTemplate> Parse(absl::string_view text);

  // The variables by field path, if `path` (percent-encoded) matches. `*` is
  // decoded whole; `%2F` stays in what `**` matches. Empty segments match
  // nothing.
  std::optional<std::map<std::string, std::string>> Match(
      absl::string_view path) const;

  bool has_verb() const { return !verb_.empty(); }

 private:
  struct Segment {
    enum class Kind { kLiteral, kOne, kRest };
    Kind kind = Kind::kLiteral;
    std::string literal;
    int variable = -1;  // in variables_; -1 for none
  };

  std::vector<Segment> segments_;
  std::vector<std::string> variables_;  // field paths
  std::string verb_;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_PATH_TEMPLATE_H_
