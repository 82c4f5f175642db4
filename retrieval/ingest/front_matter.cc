#include "retrieval/ingest/front_matter.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxDepth = 8;

// Cuts a comment: "#" at the start or behind white space, outside quotes.
absl::string_view StripComment(absl::string_view value) {
  char quote = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    if (quote != 0) {
      if (value[i] == '\\' && quote == '"') {
        ++i;
      } else if (value[i] == quote) {
        quote = 0;
      }
    } else if ((value[i] == '"' || value[i] == '\'') && i == 0) {
      quote = value[i];
    } else if (value[i] == '#' &&
               (i == 0 || absl::ascii_isspace(value[i - 1]))) {
      return absl::StripTrailingAsciiWhitespace(value.substr(0, i));
    }
  }
  return value;
}

std::string Unquote(absl::string_view value) {
  value = absl::StripAsciiWhitespace(value);
  if (value.size() < 2 || (value[0] != '"' && value[0] != '\'') ||
      value.back() != value[0]) {
    return std::string(value);
  }
  const char quote = value[0];
  value = value.substr(1, value.size() - 2);
  std::string result;
  for (size_t i = 0; i < value.size(); ++i) {
    const char next = i + 1 < value.size() ? value[i + 1] : 0;
    if (quote == '"' && value[i] == '\\' && next != 0) {
      result += next == 'n' ? '\n' : next == 't' ? '\t' : next;
      ++i;
    } else if (quote == '\'' && value[i] == '\'' && next == '\'') {
      result += '\'';
      ++i;
    } else {
      result += value[i];
    }
  }
  return result;
}

MetadataValue Scalar(absl::string_view value) {
  if (!value.empty() && value[0] != '"' && value[0] != '\'') {
    if (value == "true" || value == "True") return true;
    if (value == "false" || value == "False") return false;
    double number;
    if ((absl::ascii_isdigit(value[0]) || value[0] == '-' || value[0] == '.') &&
        value.find_first_not_of("0123456789.+-eE") == absl::string_view::npos &&
        absl::SimpleAtod(value, &number) && std::isfinite(number)) {
      return number;
    }
  }
  return Unquote(value);
}

// The items of "a, 'b, c', d".
std::vector<std::string> FlowItems(absl::string_view text) {
  std::vector<std::string> items;
  size_t begin = 0;
  char quote = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && quote != 0) {
      if (text[i] == quote) quote = 0;
      continue;
    }
    if (i == text.size() || text[i] == ',') {
      std::string item = Unquote(text.substr(begin, i - begin));
      if (!item.empty()) items.push_back(std::move(item));
      begin = i + 1;
    } else if ((text[i] == '"' || text[i] == '\'') &&
               absl::StripAsciiWhitespace(text.substr(begin, i - begin))
                   .empty()) {
      quote = text[i];
    }
  }
  return items;
}

}  // namespace

Metadata ParseFrontMatter(absl::string_view yaml) {
  Metadata metadata;
  // Maps that are open: their indentation and dotted prefix.
  std::vector<std::pair<size_t, std::string>> parents;
  std::string list_key;  // the key that has no value yet
  for (absl::string_view line : absl::StrSplit(yaml, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    const size_t indent = line.find_first_not_of(' ');
    if (indent == absl::string_view::npos || line[indent] == '#' ||
        line[indent] == '\t') {
      continue;
    }
    absl::string_view content =
        absl::StripTrailingAsciiWhitespace(line.substr(indent));
    if (content.empty()) continue;  // white space of other kinds
    if (content == "-" || absl::StartsWith(content, "- ")) {
      if (list_key.empty()) continue;
      std::string item = Unquote(
          StripComment(absl::StripLeadingAsciiWhitespace(content.substr(1))));
      MetadataValue& value = metadata[list_key];
      auto* list = std::get_if<std::vector<std::string>>(&value);
      if (list == nullptr) {
        value = std::vector<std::string>();
        list = std::get_if<std::vector<std::string>>(&value);
      }
      if (!item.empty()) list->push_back(std::move(item));
      continue;
    }
    size_t colon = content.find(": ");
    if (colon == absl::string_view::npos) {
      if (content.back() != ':') continue;
      colon = content.size() - 1;
    }
    std::string key = Unquote(content.substr(0, colon));
    if (key.empty()) continue;
    while (!parents.empty() && parents.back().first >= indent) {
      parents.pop_back();
    }
    if (!parents.empty()) key = absl::StrCat(parents.back().second, ".", key);
    absl::string_view value =
        StripComment(absl::StripAsciiWhitespace(content.substr(colon + 1)));
    list_key.clear();
    if (value.empty()) {
      if (parents.size() < kMaxDepth) parents.emplace_back(indent, key);
      list_key = std::move(key);
    } else if (value[0] == '[' && value.back() == ']') {
      metadata[key] = FlowItems(value.substr(1, value.size() - 2));
    } else if (value[0] != '|' && value[0] != '>' && value[0] != '{' &&
               value != "null" && value != "~") {
      metadata[key] = Scalar(value);
    }
  }
  return metadata;
}

}  // namespace braid::retrieval
