#include "generation/answer/sentences.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace braid::generation {
namespace {

// Lines at least so long may have been cut by a margin.
constexpr size_t kWrappedLineBytes = 45;
constexpr size_t kMaxHeadingBytes = 80;

struct Line {
  size_t begin = 0;
  size_t end = 0;  // without white space at the end
  size_t indent = 0;
};

struct Block {
  size_t begin = 0;
  size_t end = 0;
  SentenceKind kind = SentenceKind::kProse;
};

// The character at `at`, which moves past it; -1 for bytes that are none.
UChar32 Next(absl::string_view text, size_t& at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  UChar32 c = -1;
  U8_NEXT(bytes, at, text.size(), c);
  return c;
}

// The character at `at` or, at the end, a blank.
UChar32 Peek(absl::string_view text, size_t at) {
  return at < text.size() ? Next(text, at) : ' ';
}

bool IsSpace(UChar32 c) { return c >= 0 && u_isUWhiteSpace(c); }

// Where the text's last character that is no white space ends.
size_t TrimEnd(absl::string_view text, size_t begin, size_t end) {
  size_t kept = begin;
  for (size_t at = begin; at < end;) {
    const UChar32 c = Next(text.substr(0, end), at);
    if (!IsSpace(c)) kept = at;
  }
  return kept;
}

size_t TrimBegin(absl::string_view text, size_t begin, size_t end) {
  while (begin < end) {
    size_t at = begin;
    if (!IsSpace(Next(text.substr(0, end), at))) break;
    begin = at;
  }
  return begin;
}

// "- ", "* ", "+ ", "• ", "12. ", "3) ": the bytes of the marker, 0 if none.
size_t ListMarker(absl::string_view line) {
  for (const absl::string_view bullet :
       {"- ", "* ", "+ ", "\u2022 ", "\u2013 "}) {
    if (absl::StartsWith(line, bullet)) return bullet.size();
  }
  size_t digits = 0;
  while (digits < line.size() && absl::ascii_isdigit(line[digits])) ++digits;
  if (digits >= 1 && digits <= 3 && digits + 1 < line.size() &&
      (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ') {
    return digits + 2;
  }
  return 0;
}

bool IsTableRow(absl::string_view line) {
  return absl::StartsWith(line, "|") || absl::StrContains(line, " | ") ||
         absl::StrContains(line, "\t");
}

// "|---|:--:|", "=====": a rule says nothing.
bool IsRule(absl::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) {
    return absl::StrContains("|-:=+*_~ \t", absl::string_view(&c, 1));
  });
}

bool EndsSentence(absl::string_view line) {
  return absl::EndsWith(line, ".") || absl::EndsWith(line, "!") ||
         absl::EndsWith(line, "?") || absl::EndsWith(line, ":") ||
         absl::EndsWith(line, "\u3002");
}

bool StartsLower(absl::string_view line) {
  const UChar32 c = Peek(line, 0);
  return c >= 0 && u_islower(c);
}

std::vector<Line> Lines(absl::string_view text) {
  std::vector<Line> lines;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = text.find('\n', begin);
    if (end == absl::string_view::npos) end = text.size();
    Line line;
    line.begin = TrimBegin(text, begin, end);
    line.end = TrimEnd(text, line.begin, end);
    for (const char c : text.substr(begin, line.begin - begin)) {
      line.indent += c == '\t' ? 4 : 1;
    }
    lines.push_back(line);
    begin = end + 1;
  }
  return lines;
}

std::vector<Block> Blocks(absl::string_view text) {
  std::vector<Block> blocks;
  bool fenced = false;
  bool open = false;  // the last block may take another line
  for (const Line& line : Lines(text)) {
    const absl::string_view content =
        text.substr(line.begin, line.end - line.begin);
    if (absl::StartsWith(content, "```") || absl::StartsWith(content, "~~~")) {
      fenced = !fenced;
      open = false;
      continue;
    }
    if (content.empty() || IsRule(content)) {
      open = false;
      continue;
    }
    Block block{.begin = line.begin, .end = line.end};
    if (fenced) {
      block.kind = SentenceKind::kCode;
    } else if (IsTableRow(content)) {
      block.kind = SentenceKind::kTableRow;
    } else if (ListMarker(content) > 0) {
      block.kind = SentenceKind::kListItem;
    } else if (absl::StartsWith(content, "#")) {
      block.kind = SentenceKind::kHeading;
    } else if (!open && line.indent >= 4) {
      block.kind = SentenceKind::kCode;
    } else if (open) {
      Block& last = blocks.back();
      const absl::string_view before =
          text.substr(last.begin, last.end - last.begin);
      const size_t line_start = before.rfind('\n');
      const size_t last_line_bytes = line_start == absl::string_view::npos
                                         ? before.size()
                                         : before.size() - line_start;
      const bool wrapped =
          StartsLower(content) ||
          (!EndsSentence(before) && last_line_bytes >= kWrappedLineBytes) ||
          (last.kind == SentenceKind::kListItem && line.indent >= 2);
      if (wrapped) {
        last.end = line.end;
        continue;
      }
    }
    open = block.kind == SentenceKind::kProse ||
           block.kind == SentenceKind::kListItem;
    blocks.push_back(block);
  }
  return blocks;
}

// Words that end in a full stop within a sentence, lower case.
bool IsAbbreviation(absl::string_view word, bool number_follows) {
  static constexpr absl::string_view kWords[] = {
      "al",   "approx", "apr", "aug",  "ave",    "blvd", "brig", "bros", "ca",
      "capt", "cf",     "ch",  "cmdr", "co",     "col",  "corp", "dec",  "dept",
      "dr",   "e.g",    "ed",  "eds",  "eg",     "eq",   "est",  "fig",  "figs",
      "feb",  "ft",     "gen", "gov",  "hon",    "i.e",  "ie",   "inc",  "jan",
      "jr",   "lt",     "ltd", "maj",  "messrs", "mr",   "mrs",  "ms",   "mt",
      "nov",  "oct",    "op",  "pp",   "pres",   "prof", "ref",  "refs", "rep",
      "rev",  "sec",    "sen", "sept", "sgt",    "sr",   "st",   "supt", "u.k",
      "u.s",  "univ",   "viz", "vol",  "vs"};
  const std::string lower = absl::AsciiStrToLower(word);
  if (std::find(std::begin(kWords), std::end(kWords), lower) !=
      std::end(kWords)) {
    return true;
  }
  if (number_follows && (lower == "no" || lower == "nos" || lower == "p")) {
    return true;
  }
  // Initials.
  return word.size() == 1 && absl::ascii_isupper(word[0]);
}

// Whether the full stop at `stop` ends a sentence that began at `begin`; the
// next word begins at `next`.
bool FullStopEnds(absl::string_view text, size_t begin, size_t stop,
                  size_t next) {
  const UChar32 follows = Peek(text, next);
  if (follows >= 0 && u_islower(follows)) return false;
  size_t word = stop;
  while (word > begin &&
         (absl::ascii_isalnum(text[word - 1]) || text[word - 1] == '.')) {
    --word;
  }
  const absl::string_view before = text.substr(word, stop - word);
  // The number of an item: "2. Then".
  const bool only_digits =
      !before.empty() && std::all_of(before.begin(), before.end(), [](char c) {
        return absl::ascii_isdigit(c);
      });
  if (only_digits && word == begin) return false;
  return !IsAbbreviation(before, follows >= 0 && u_isdigit(follows));
}

bool IsCloser(UChar32 c) {
  return c == ')' || c == ']' || c == '"' || c == '\'' || c == 0x201D ||
         c == 0x2019 || c == 0xBB;
}

// Where the sentence that begins at `begin` ends, at most at `end`.
size_t SentenceEnd(absl::string_view text, size_t begin, size_t end) {
  const absl::string_view block = text.substr(0, end);
  for (size_t at = begin; at < end;) {
    const size_t here = at;
    const UChar32 c = Next(block, at);
    if (c == 0x3002 || c == 0xFF01 || c == 0xFF1F) return at;
    if (c != '.' && c != '!' && c != '?' && c != 0x2026) continue;
    // Closing marks and further stops belong to it.
    size_t after = at;
    while (after < end) {
      size_t move = after;
      const UChar32 mark = Next(block, move);
      if (!IsCloser(mark) && mark != '.' && mark != '!' && mark != '?') break;
      after = move;
    }
    if (after < end && !IsSpace(Peek(block, after))) continue;
    const size_t next = TrimBegin(text, after, end);
    if (next >= end) return end;
    const UChar32 follows = Peek(block, next);
    const bool ends = c == '.' ? FullStopEnds(block, begin, here, next)
                               : follows < 0 || !u_islower(follows);
    if (ends) return after;
    at = after;
  }
  return end;
}

}  // namespace

std::vector<Sentence> SplitSentences(absl::string_view text) {
  std::vector<Sentence> sentences;
  size_t number = 0;
  for (const Block& block : Blocks(text)) {
    const size_t first = sentences.size();
    if (block.kind == SentenceKind::kTableRow ||
        block.kind == SentenceKind::kCode ||
        block.kind == SentenceKind::kHeading) {
      sentences.push_back({block.begin, block.end, block.kind, number});
    } else {
      size_t begin = block.begin;
      SentenceKind kind = block.kind;
      while (begin < block.end) {
        const size_t end = SentenceEnd(text, begin, block.end);
        sentences.push_back({begin, end, kind, number});
        begin = TrimBegin(text, end, block.end);
        kind = SentenceKind::kProse;
      }
    }
    const bool alone = sentences.size() == first + 1;
    const absl::string_view content =
        text.substr(block.begin, block.end - block.begin);
    if (alone && block.kind == SentenceKind::kProse &&
        content.size() <= kMaxHeadingBytes && !EndsSentence(content) &&
        !absl::StrContains(content, "\n")) {
      sentences.back().kind = SentenceKind::kHeading;
    }
    ++number;
  }
  return sentences;
}

}  // namespace braid::generation
