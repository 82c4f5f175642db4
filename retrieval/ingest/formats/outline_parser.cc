#include "retrieval/ingest/formats/outline_parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

struct Line {
  ByteRange range;  // without its end and blanks before that
  absl::string_view text;
};

std::vector<Line> SplitLines(absl::string_view source) {
  std::vector<Line> lines;
  size_t at = absl::StartsWith(source, kUtf8Bom) ? kUtf8Bom.size() : 0;
  while (at < source.size()) {
    const size_t end = std::min(source.find('\n', at), source.size());
    const absl::string_view text =
        absl::StripTrailingAsciiWhitespace(source.substr(at, end - at));
    lines.push_back({{at, at + text.size()}, text});
    at = end + 1;
  }
  return lines;
}

// Collects blocks of lines.
class OutlineBuilder {
 public:
  explicit OutlineBuilder(absl::string_view source) {
    document_.text = std::string(source);
  }

  // A line of a paragraph or of code; a blank one ends the paragraph.
  void Add(const Line& line, BlockKind kind) {
    if (line.text.empty()) {
      if (kind != BlockKind::kCode) open_ = false;
      return;
    }
    if (!open_ || document_.blocks.back().kind != kind) {
      Block& block = document_.blocks.emplace_back();
      block.kind = kind;
      block.text_range = line.range;
      open_ = true;
    }
    document_.blocks.back().text_range.end = line.range.end;
  }

  // A heading that takes the lines from `first` to `last`.
  void AddHeading(const Line& first, const Line& last, absl::string_view title,
                  int level) {
    open_ = false;
    Block& block = document_.blocks.emplace_back();
    block.kind = BlockKind::kHeading;
    block.level = std::clamp(level, 1, 6);
    block.text_range = {first.range.begin, last.range.end};
    block.heading = std::string(absl::StripAsciiWhitespace(title));
  }

  void EndBlock() { open_ = false; }
  ParsedDocument& document() { return document_; }

  ParsedDocument Finish() {
    for (Block& block : document_.blocks) {
      block.source_range = block.text_range;
      if (document_.title.empty()) document_.title = block.heading;
    }
    return std::move(document_);
  }

 private:
  ParsedDocument document_;
  bool open_ = false;
};

// The character of a line that consists of one punctuation mark, at least two
// times; NUL if it does not.
char Adornment(absl::string_view line) {
  if (line.size() < 2 || !absl::ascii_ispunct(line[0])) return '\0';
  return line.find_first_not_of(line[0]) == absl::string_view::npos ? line[0]
                                                                    : '\0';
}

size_t Characters(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

absl::StatusOr<ParsedDocument> ParseRestructuredText(absl::string_view,
                                                     absl::string_view source) {
  const std::vector<Line> lines = SplitLines(source);
  OutlineBuilder builder(source);
  std::vector<std::pair<char, bool>> styles;  // mark, and whether it overlines
  auto level_of = [&styles](char mark, bool overlined) {
    const std::pair<char, bool> style = {mark, overlined};
    auto found = std::find(styles.begin(), styles.end(), style);
    if (found == styles.end()) found = styles.insert(found, style);
    return static_cast<int>(found - styles.begin()) + 1;
  };
  auto adorns = [&lines](size_t adornment, size_t title) {
    return adornment < lines.size() && title < lines.size() &&
           Adornment(lines[adornment].text) != '\0' &&
           !lines[title].text.empty() && Adornment(lines[title].text) == '\0' &&
           Characters(lines[adornment].text) >=
               Characters(absl::StripAsciiWhitespace(lines[title].text));
  };
  bool after_blank = true;
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool title_may_begin = after_blank;
    after_blank = lines[i].text.empty();
    if (adorns(i, i + 1) && adorns(i + 2, i + 1) &&
        lines[i].text == lines[i + 2].text) {
      builder.AddHeading(lines[i], lines[i + 2], lines[i + 1].text,
                         level_of(lines[i].text[0], true));
      i += 2;
      after_blank = true;
    } else if (title_may_begin && adorns(i + 1, i) &&
               !absl::ascii_isspace(lines[i].text[0])) {
      builder.AddHeading(lines[i], lines[i + 1], lines[i].text,
                         level_of(lines[i + 1].text[0], false));
      ++i;
      after_blank = true;
    } else {
      builder.Add(lines[i], BlockKind::kParagraph);
    }
  }
  return builder.Finish();
}

absl::StatusOr<ParsedDocument> ParseOrg(absl::string_view,
                                        absl::string_view source) {
  OutlineBuilder builder(source);
  bool in_code = false;
  for (const Line& line : SplitLines(source)) {
    const std::string lower = absl::AsciiStrToLower(
        absl::StripLeadingAsciiWhitespace(line.text.substr(0, 40)));
    if (absl::StartsWith(lower, "#+begin_")) {
      builder.EndBlock();
      in_code = true;
    }
    const size_t stars =
        std::min(line.text.find_first_not_of('*'), line.text.size());
    if (!in_code && stars > 0 && stars < line.text.size() &&
        line.text[stars] == ' ') {
      builder.AddHeading(line, line, line.text.substr(stars),
                         static_cast<int>(std::min<size_t>(stars, 6)));
    } else {
      builder.Add(line, in_code ? BlockKind::kCode : BlockKind::kParagraph);
    }
    if (absl::StartsWith(lower, "#+end_")) {
      builder.EndBlock();
      in_code = false;
    }
    const size_t colon = line.text.find(':');
    if (in_code || !absl::StartsWith(lower, "#+") ||
        colon == absl::string_view::npos) {
      continue;
    }
    const std::string value(
        absl::StripAsciiWhitespace(line.text.substr(colon + 1)));
    ParsedDocument& document = builder.document();
    if (absl::StartsWith(lower, "#+title:")) document.title = value;
    for (const char* key : {"author", "date", "filetags"}) {
      if (absl::StartsWith(lower, absl::StrCat("#+", key, ":")) &&
          !value.empty()) {
        document.metadata.insert_or_assign(key, value);
      }
    }
  }
  return builder.Finish();
}

}  // namespace braid::retrieval
