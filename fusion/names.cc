#include "fusion/names.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <unordered_set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace braid::fusion {
namespace {

constexpr size_t kYearDigits = 4;

struct Word {
  std::string lower;
  bool capital = false;
};

void Append(UChar32 c, std::string* out) {
  uint8_t bytes[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, c);
  out->append(reinterpret_cast<const char*>(bytes),
              static_cast<size_t>(length));
}

std::vector<Word> Words(absl::string_view text) {
  std::vector<Word> words;
  const auto size = static_cast<int32_t>(text.size());
  bool inside = false;
  for (int32_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0 || !u_isalnum(c)) {
      inside = false;
      continue;
    }
    if (!inside) words.push_back({.capital = u_isupper(c) != 0});
    inside = true;
    Append(u_tolower(c), &words.back().lower);
  }
  return words;
}

bool IsYear(const std::string& word) {
  return word.size() == kYearDigits &&
         std::all_of(word.begin(), word.end(), absl::ascii_isdigit);
}

// "Metropolis (1927 film)" is called Metropolis.
absl::string_view WithoutParentheses(absl::string_view title) {
  const absl::string_view trimmed = absl::StripTrailingAsciiWhitespace(title);
  if (trimmed.empty() || trimmed.back() != ')') return title;
  const size_t open = trimmed.rfind('(');
  return open == absl::string_view::npos ? title : trimmed.substr(0, open);
}

}  // namespace

NamedInPassage::NamedInPassage(absl::string_view question,
                               absl::string_view text) {
  for (Word& word : Words(question)) {
    question_.push_back(std::move(word.lower));
  }
  std::sort(question_.begin(), question_.end());
  text_ = " ";
  std::unordered_set<std::string> seen;
  for (Word& word : Words(text)) {
    absl::StrAppend(&text_, word.lower, " ");
    if (!word.capital && !IsYear(word.lower)) continue;
    if (std::binary_search(question_.begin(), question_.end(), word.lower)) {
      continue;
    }
    if (seen.insert(word.lower).second) {
      absl::StrAppend(&names_, names_.empty() ? "" : " ", word.lower);
    }
  }
}

bool NamedInPassage::Names(absl::string_view title) const {
  std::string whole = " ";
  bool asked = true;
  for (const Word& word : Words(WithoutParentheses(title))) {
    absl::StrAppend(&whole, word.lower, " ");
    asked = asked &&
            std::binary_search(question_.begin(), question_.end(), word.lower);
  }
  // A title without words has all of them in the question.
  return !asked && text_.find(whole) != std::string::npos;
}

}  // namespace braid::fusion
