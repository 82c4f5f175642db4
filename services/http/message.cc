#include "services/http/message.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace braid::services::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string Request::Header(absl::string_view name) const {
  std::string joined;
  bool found = false;
  for (const auto& [key, value] : headers) {
    if (!absl::EqualsIgnoreCase(key, name)) continue;
    absl::StrAppend(&joined, found ? "," : "", value);
    found = true;
  }
  return joined;
}

std::string PercentDecode(absl::string_view text, bool keep_slashes) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high =
        text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    const char decoded = static_cast<char>(high * 16 + low);
    if (low < 0 || (keep_slashes && decoded == '/')) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(decoded);
    i += 2;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> ParseQuery(
    absl::string_view query) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const absl::string_view part :
       absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::string spaced = absl::StrReplaceAll(part, {{"+", " "}});
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(spaced, absl::MaxSplits('=', 1));
    fields.emplace_back(PercentDecode(pair.first), PercentDecode(pair.second));
  }
  return fields;
}

}  // namespace braid::services::http
