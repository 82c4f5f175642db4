#include "generation/answer/question_terms.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace braid::generation {
namespace {

constexpr absl::string_view kFunctionWords[] = {
    "a",       "about", "after",  "all",   "also",    "an",       "and",
    "any",     "are",   "as",     "at",    "be",      "been",     "before",
    "being",   "but",   "by",     "can",   "could",   "describe", "did",
    "do",      "does",  "doing",  "each",  "explain", "for",      "from",
    "get",     "give",  "had",    "has",   "have",    "he",       "her",
    "his",     "how",   "i",      "if",    "in",      "into",     "is",
    "it",      "its",   "list",   "many",  "may",     "me",       "mean",
    "meaning", "means", "might",  "much",  "must",    "my",       "name",
    "no",      "not",   "of",     "on",    "or",      "our",      "please",
    "shall",   "she",   "should", "show",  "so",      "some",     "tell",
    "than",    "that",  "the",    "their", "them",    "then",     "there",
    "these",   "they",  "this",   "those", "to",      "us",       "was",
    "we",      "were",  "what",   "when",  "where",   "which",    "while",
    "who",     "whom",  "whose",  "why",   "will",    "with",     "would",
    "you",     "your",  "yours"};

bool IsFunctionWord(absl::string_view word) {
  return std::find(std::begin(kFunctionWords), std::end(kFunctionWords),
                   word) != std::end(kFunctionWords);
}

void AppendUtf8(UChar32 c, std::string& out) {
  char buffer[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(buffer, length, c);
  out.append(buffer, length);
}

// Case-folded; bytes that are no UTF-8 become blanks.
std::string Fold(absl::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    UChar32 c = -1;
    U8_NEXT(bytes, at, text.size(), c);
    if (c < 0) {
      folded.push_back(' ');
    } else {
      AppendUtf8(u_foldCase(c, U_FOLD_CASE_DEFAULT), folded);
    }
  }
  return folded;
}

// "-s", "-es", "-ies", "-ing", "-ed" off, so that forms of a word agree. Rough:
// both sides go through it.
std::string Stem(std::string word) {
  absl::string_view stem = word;
  const auto drop = [&stem](absl::string_view suffix, size_t least) {
    return stem.size() >= suffix.size() + least &&
           absl::ConsumeSuffix(&stem, suffix);
  };
  if (drop("ies", 2)) return std::string(stem) + "y";
  if (absl::EndsWith(stem, "sses")) {
    stem.remove_suffix(2);
  } else if (!absl::EndsWith(stem, "ss") && !absl::EndsWith(stem, "us") &&
             !absl::EndsWith(stem, "is")) {
    drop("s", 3);
  }
  if (drop("ing", 3) || drop("ed", 3)) {
    // "stopped": the doubled consonant.
    if (stem.size() > 3 && stem[stem.size() - 1] == stem[stem.size() - 2] &&
        !absl::StrContains("aeiousl", stem.substr(stem.size() - 1))) {
      stem.remove_suffix(1);
    }
  }
  drop("e", 3);
  return std::string(stem);
}

// Calls `emit(begin, end)` for each run of characters that `inside` accepts.
template <typename Inside, typename Emit>
void ForEachRun(absl::string_view text, Inside inside, Emit emit) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  size_t begin = 0;
  bool open = false;
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    UChar32 c = -1;
    U8_NEXT(bytes, at, text.size(), c);
    const bool in = c >= 0 && inside(c);
    if (in && !open) begin = here;
    if (!in && open) emit(begin, here);
    open = in;
  }
  if (open) emit(begin, text.size());
}

bool IsWordCharacter(UChar32 c) { return u_isalnum(c); }

bool IsJoint(UChar32 c) {
  return c == '_' || c == '-' || c == '.' || c == '/' || c == ':' || c == '@' ||
         c == '#';
}

bool IsOrdinal(absl::string_view word) {
  const size_t letters = word.find_first_not_of("0123456789");
  if (letters == 0 || letters == absl::string_view::npos) return false;
  const std::string rest = absl::AsciiStrToLower(word.substr(letters));
  return rest == "s" || rest == "st" || rest == "nd" || rest == "rd" ||
         rest == "th";
}

// A word that mixes letters with digits, or whose case rises within.
bool IsIdentifierWord(absl::string_view word) {
  bool digit = false;
  bool letter = false;
  bool rises = false;
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    digit = digit || absl::ascii_isdigit(c);
    letter = letter || !absl::ascii_isdigit(c);
    rises = rises || (i > 0 && absl::ascii_isupper(c) &&
                      absl::ascii_islower(word[i - 1]));
  }
  return (digit && letter && !IsOrdinal(word)) || rises;
}

// A run of words and joints that names something, not "well-known" or "e.g.".
bool IsIdentifier(absl::string_view run) {
  if (absl::StrContains(run, "_") || absl::StrContains(run, "::") ||
      absl::StrContains(run, "#") || absl::StrContains(run, "@")) {
    return true;
  }
  bool lower = false;
  bool digit = false;
  bool upper = false;
  bool long_word = false;
  bool joint = false;
  for (const absl::string_view word :
       absl::StrSplit(run, absl::ByAnyChar("-./:"), absl::SkipEmpty())) {
    if (IsIdentifierWord(word)) return true;
    joint = joint || word.size() < run.size();
    long_word = long_word || word.size() >= 3;
    if (IsOrdinal(word)) return false;
    for (const char c : word) {
      lower = lower || absl::ascii_islower(c);
      upper = upper || absl::ascii_isupper(c);
      digit = digit || absl::ascii_isdigit(c);
    }
  }
  if (!joint) return false;
  if (upper && digit && !lower) return true;  // SKU-1234
  return (lower || upper) && absl::StrContains(run, ".") && long_word;
}

bool IsInsideWord(absl::string_view text, size_t at) {
  const auto c = static_cast<unsigned char>(text[at]);
  return absl::ascii_isalnum(c) || c == '_' || c >= 0x80;
}

}  // namespace

bool TermText::Contains(const QuestionTerm& term) const {
  if (!term.identifier) return words.contains(term.text);
  for (size_t at = folded.find(term.text); at != std::string::npos;
       at = folded.find(term.text, at + 1)) {
    const size_t end = at + term.text.size();
    if ((at == 0 || !IsInsideWord(folded, at - 1)) &&
        (end == folded.size() || !IsInsideWord(folded, end))) {
      return true;
    }
  }
  return false;
}

std::vector<QuestionTerm> QuestionTerms(absl::string_view question) {
  std::vector<QuestionTerm> terms;
  const auto add = [&terms](QuestionTerm term) {
    for (const QuestionTerm& known : terms) {
      if (known.text == term.text && known.identifier == term.identifier)
        return;
    }
    terms.push_back(std::move(term));
  };
  const auto inside = [](UChar32 c) {
    return IsWordCharacter(c) || IsJoint(c);
  };
  ForEachRun(question, inside, [&](size_t begin, size_t end) {
    const absl::string_view joints = "_-./:@#";
    absl::string_view run = question.substr(begin, end - begin);
    while (!run.empty() && absl::StrContains(joints, run.substr(0, 1))) {
      run.remove_prefix(1);
    }
    while (!run.empty() &&
           absl::StrContains(joints, run.substr(run.size() - 1))) {
      run.remove_suffix(1);
    }
    if (IsIdentifier(run)) {
      add({.text = Fold(run), .identifier = true});
      return;
    }
    const std::string folded = Fold(run);
    ForEachRun(folded, IsWordCharacter, [&](size_t from, size_t to) {
      std::string word = folded.substr(from, to - from);
      if (!IsFunctionWord(word)) {
        add({.text = Stem(std::move(word)), .identifier = false});
      }
    });
  });
  return terms;
}

TermText ReadTerms(absl::string_view text) {
  TermText terms{.folded = Fold(text), .words = {}};
  ForEachRun(terms.folded, IsWordCharacter, [&terms](size_t begin, size_t end) {
    terms.words.insert(Stem(terms.folded.substr(begin, end - begin)));
  });
  return terms;
}

}  // namespace braid::generation
