#include "services/adapters/path_template.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/http/message.h"

namespace braid::services::adapters {

absl::StatusOr<PathTemplate> PathTemplate::Parse(absl::string_view text) {
  const absl::Status bad =
      absl::InvalidArgumentError(absl::StrCat("not a path template: ", text));
  PathTemplate parsed;
  if (!absl::ConsumePrefix(&text, "/")) return bad;
  // The verb follows the last segment, or the brace after it.
  const size_t colon = text.rfind(':');
  const size_t last = text.find_last_of("/}");
  if (colon != absl::string_view::npos &&
      (last == absl::string_view::npos || colon > last)) {
    parsed.verb_ = std::string(text.substr(colon + 1));
    text = text.substr(0, colon);
    if (parsed.verb_.empty()) return bad;
  }
  const auto add = [&](absl::string_view segment, int variable) {
    Segment added;
    added.variable = variable;
    if (segment == "*") {
      added.kind = Segment::Kind::kOne;
    } else if (segment == "**") {
      added.kind = Segment::Kind::kRest;
    } else {
      added.literal = std::string(segment);
    }
    const bool follows = !parsed.segments_.empty() &&
                         parsed.segments_.back().kind == Segment::Kind::kRest;
    const bool plain = segment.find_first_of("{}*=:") == segment.npos;
    parsed.segments_.push_back(added);
    return !segment.empty() && !follows &&
           (plain || added.kind != Segment::Kind::kLiteral);
  };
  while (!text.empty()) {
    if (absl::ConsumePrefix(&text, "{")) {
      const size_t close = text.find('}');
      if (close == absl::string_view::npos) return bad;
      const std::vector<absl::string_view> parts =
          absl::StrSplit(text.substr(0, close), absl::MaxSplits('=', 1));
      if (parts[0].empty()) return bad;
      const int variable = static_cast<int>(parsed.variables_.size());
      parsed.variables_.emplace_back(parts[0]);
      const absl::string_view inner = parts.size() == 1 ? "*" : parts[1];
      for (const absl::string_view segment : absl::StrSplit(inner, '/')) {
        if (!add(segment, variable)) return bad;
      }
      text.remove_prefix(close + 1);
    } else {
      const size_t end = std::min(text.find('/'), text.size());
      if (!add(text.substr(0, end), -1)) return bad;
      text.remove_prefix(end);
    }
    if (!text.empty() && (!absl::ConsumePrefix(&text, "/") || text.empty())) {
      return bad;
    }
  }
  if (parsed.segments_.empty()) return bad;
  return parsed;
}

std::optional<std::map<std::string, std::string>> PathTemplate::Match(
    absl::string_view path) const {
  if (!absl::ConsumePrefix(&path, "/")) return std::nullopt;
  if (has_verb()) {
    const size_t colon = path.rfind(':');
    if (colon == absl::string_view::npos || path.substr(colon + 1) != verb_) {
      return std::nullopt;
    }
    path = path.substr(0, colon);
  }
  const std::vector<absl::string_view> given = absl::StrSplit(path, '/');
  const bool rest = segments_.back().kind == Segment::Kind::kRest;
  if (rest ? given.size() < segments_.size()
           : given.size() != segments_.size()) {
    return std::nullopt;
  }
  std::map<std::string, std::string> variables;
  for (size_t i = 0; i < given.size(); ++i) {
    const Segment& segment = segments_[std::min(i, segments_.size() - 1)];
    if (given[i].empty()) return std::nullopt;
    const std::string value = http::PercentDecode(
        given[i], /*keep_slashes=*/segment.kind == Segment::Kind::kRest);
    if (segment.kind == Segment::Kind::kLiteral && value != segment.literal) {
      return std::nullopt;
    }
    if (segment.variable < 0) continue;
    std::string& variable = variables[variables_[segment.variable]];
    absl::StrAppend(&variable, variable.empty() ? "" : "/", value);
  }
  return variables;
}

}  // namespace braid::services::adapters
