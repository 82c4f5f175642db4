#include "retrieval/ingest/formats/rtf_parser.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/code_page.h"
#include "retrieval/ingest/formats/office_text.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxDepth = 1000;

// Where text of a group goes.
enum class Destination { kBody, kNote, kSkip, kFonts, kTitle, kProperty };

// What a group inherits and changes for itself.
struct Group {
  Destination destination = Destination::kBody;
  std::string property;  // the metadata's key, of kProperty
  int code_page = 1252;
  int skip_after_unicode = 1;  // characters of the replacement of \u
};

// Groups whose content is not text of the document.
bool IsSkippedDestination(absl::string_view word) {
  static constexpr absl::string_view kSkipped[] = {"colortbl",
                                                   "stylesheet",
                                                   "pict",
                                                   "object",
                                                   "header",
                                                   "headerl",
                                                   "headerr",
                                                   "headerf",
                                                   "footer",
                                                   "footerl",
                                                   "footerr",
                                                   "footerf",
                                                   "fldinst",
                                                   "themedata",
                                                   "datastore",
                                                   "listtable",
                                                   "xmlnstbl",
                                                   "rsidtbl",
                                                   "generator",
                                                   "filetbl",
                                                   "revtbl",
                                                   "latentstyles",
                                                   "nonshppict",
                                                   "bkmkstart",
                                                   "bkmkend",
                                                   "listoverridetable",
                                                   "colorschememapping",
                                                   "mmathPr",
                                                   "private",
                                                   "operator",
                                                   "company",
                                                   "creatim",
                                                   "revtim",
                                                   "printim",
                                                   "listtext",
                                                   "pntext",
                                                   "atnid",
                                                   "atrfstart",
                                                   "atrfend",
                                                   "datafield",
                                                   "formfield",
                                                   "xe",
                                                   "tc",
                                                   "sn",
                                                   "sv",
                                                   "shpinst_sp",
                                                   "buptim",
                                                   "doccomm",
                                                   "comment"};
  return std::find(std::begin(kSkipped), std::end(kSkipped), word) !=
         std::end(kSkipped);
}

// Characters that have words of their own.
absl::string_view SymbolOf(absl::string_view word) {
  static const std::map<absl::string_view, absl::string_view>& symbols =
      *new std::map<absl::string_view, absl::string_view>{
          {"tab", "\t"},           {"line", "\n"},
          {"emdash", "\u2014"},    {"endash", "\u2013"},
          {"bullet", "\u2022"},    {"lquote", "\u2018"},
          {"rquote", "\u2019"},    {"ldblquote", "\u201C"},
          {"rdblquote", "\u201D"}, {"emspace", " "},
          {"enspace", " "},        {"qmspace", " "}};
  const auto found = symbols.find(word);
  return found == symbols.end() ? absl::string_view() : found->second;
}

class RtfReader {
 public:
  RtfReader(absl::string_view name, absl::string_view source)
      : name_(name), source_(source), builder_(name, source), text_(&builder_) {
    groups_.emplace_back();
  }

  absl::StatusOr<ParsedDocument> Read() {
    while (at_ < source_.size() && builder_.status().ok()) {
      const char c = source_[at_];
      if (c == '{') {
        ++at_;
        FlushBytes();
        to_skip_ = 0;
        if (groups_.size() >= kMaxDepth) {
          return absl::ResourceExhaustedError(absl::StrCat(
              name_, ": groups nest deeper than ", kMaxDepth, " levels"));
        }
        groups_.push_back(groups_.back());
        first_in_group_ = true;
      } else if (c == '}') {
        ++at_;
        EndGroup();
      } else if (c == '\\') {
        ++at_;
        Control();
      } else {
        ++at_;
        if (c != '\r' && c != '\n') Byte(c);
      }
    }
    FlushBytes();
    EndParagraph();
    if (table_open_) text_.EndTable();
    text_.Finish();
    return builder_.Finish();
  }

 private:
  Group& group() { return groups_.back(); }

  void EndGroup() {
    FlushBytes();
    to_skip_ = 0;
    if (groups_.size() == 1) return;  // one brace too many
    const Group ended = std::move(groups_.back());
    groups_.pop_back();
    first_in_group_ = false;
    if (ended.destination == group().destination &&
        ended.property == group().property) {
      return;
    }
    if (ended.destination == Destination::kNote) text_.Note(Take(&note_));
    if (ended.destination == Destination::kTitle) {
      builder_.SetTitle(Take(&property_));
    }
    if (ended.destination == Destination::kProperty) {
      builder_.SetMetadata(ended.property, Take(&property_));
    }
  }

  static std::string Take(std::string* text) {
    return std::exchange(*text, std::string());
  }

  // A character in the code page that holds here.
  void Byte(char c) {
    if (to_skip_ > 0) {
      --to_skip_;
      return;
    }
    high_surrogate_ = 0;
    first_in_group_ = false;
    bytes_.push_back(c);
  }

  void FlushBytes() {
    if (bytes_.empty()) return;
    Text(FromCodePage(font_code_page_ > 0 ? font_code_page_ : group().code_page,
                      Take(&bytes_)));
  }

  void Text(absl::string_view text) {
    switch (group().destination) {
      case Destination::kBody:
        if (!text_.in_paragraph()) BeginParagraph();
        text_.Text(text);
        break;
      case Destination::kNote:
        absl::StrAppend(&note_, text);
        break;
      case Destination::kTitle:
      case Destination::kProperty:
        absl::StrAppend(&property_, text);
        break;
      case Destination::kSkip:
      case Destination::kFonts:
        break;
    }
  }

  void BeginParagraph() {
    if (in_row_ && !table_open_) {
      text_.BeginTable();
      table_open_ = true;
    } else if (!in_row_ && table_open_) {
      text_.EndTable();
      table_open_ = false;
      row_open_ = cell_open_ = false;
    }
    if (table_open_) {
      if (!row_open_) text_.BeginRow();
      if (!cell_open_) text_.BeginCell();
      row_open_ = cell_open_ = true;
    }
    text_.BeginParagraph();
    if (heading_ > 0) text_.SetHeading(heading_);
  }

  void EndParagraph() {
    if (text_.in_paragraph()) text_.EndParagraph();
  }

  // What follows a backslash.
  void Control() {
    if (at_ >= source_.size()) return;
    const char c = source_[at_];
    if (!absl::ascii_isalpha(c)) {
      ++at_;
      ControlSymbol(c);
      return;
    }
    const size_t begin = at_;
    while (at_ < source_.size() && absl::ascii_isalpha(source_[at_])) ++at_;
    const absl::string_view word = source_.substr(begin, at_ - begin);
    const size_t number = at_;
    if (at_ < source_.size() && source_[at_] == '-') ++at_;
    while (at_ < source_.size() && absl::ascii_isdigit(source_[at_])) ++at_;
    int value = 0;
    const bool has_value =
        absl::SimpleAtoi(source_.substr(number, at_ - number), &value);
    if (at_ < source_.size() && source_[at_] == ' ') ++at_;
    if (word != "u") FlushBytes();
    ControlWord(word, value, has_value);
    first_in_group_ = false;
  }

  void ControlSymbol(char c) {
    switch (c) {
      case '\'': {
        unsigned int byte = 0;
        if (at_ + 2 <= source_.size() &&
            absl::SimpleHexAtoi(source_.substr(at_, 2), &byte)) {
          at_ += 2;
          Byte(static_cast<char>(byte));
        }
        break;
      }
      case '*':
        // A destination that readers may not know: those that are read are
        // named below.
        if (first_in_group_) star_ = true;
        return;
      case '~':
        Byte(' ');
        break;
      case '_':
        Byte('-');
        break;
      case '-':
        break;
      case '\r':
      case '\n':
        FlushBytes();
        Paragraph();
        break;
      default:
        if (c == '\\' || c == '{' || c == '}') Byte(c);
    }
  }

  void ControlWord(absl::string_view word, int value, bool has_value) {
    const bool star = std::exchange(star_, false);
    if (word == "bin") {
      at_ += std::min<size_t>(std::max(value, 0), source_.size() - at_);
    } else if (word == "u" && has_value) {
      Unicode(value);
    } else if (word == "uc") {
      group().skip_after_unicode = std::clamp(value, 0, 16);
    } else if (word == "ansicpg") {
      group().code_page = value;
    } else if (word == "mac") {
      group().code_page = 10000;
    } else if (group().destination == Destination::kSkip) {
      return;
    } else if (word == "fonttbl") {
      group().destination = Destination::kFonts;
    } else if (group().destination == Destination::kFonts) {
      if (word == "f") font_ = value;
      if (word == "fcharset") charsets_[font_] = CodePageOfCharset(value);
    } else if (word == "f") {
      const auto charset = charsets_.find(value);
      font_code_page_ = charset == charsets_.end() ? 0 : charset->second;
    } else if (word == "footnote" || word == "annotation") {
      group().destination = Destination::kNote;
    } else if (word == "title") {
      group().destination = Destination::kTitle;
    } else if (word == "author" || word == "subject" || word == "keywords") {
      group().destination = Destination::kProperty;
      group().property = std::string(word);
    } else if (IsSkippedDestination(word) ||
               (star && word != "shptxt" && word != "shpinst")) {
      group().destination = Destination::kSkip;
    } else if (const absl::string_view symbol = SymbolOf(word);
               !symbol.empty()) {
      Text(symbol);
    } else {
      ParagraphWord(word, value);
    }
  }

  void ParagraphWord(absl::string_view word, int value) {
    if (word == "par" || word == "sect" || word == "page") {
      Paragraph();
    } else if (group().destination != Destination::kBody) {
      return;
    } else if (word == "pard") {
      in_row_ = false;
      heading_ = 0;
    } else if (word == "intbl") {
      in_row_ = true;
    } else if (word == "outlinelevel") {
      heading_ = value >= 0 && value < 9 ? value + 1 : 0;
      if (text_.in_paragraph()) text_.SetHeading(heading_);
    } else if (word == "cell" || word == "nestcell") {
      if (!text_.in_paragraph()) {
        in_row_ = true;
        BeginParagraph();
      }
      EndParagraph();
      text_.EndCell();
      cell_open_ = false;
    } else if (word == "row") {
      EndParagraph();
      text_.EndRow();
      row_open_ = cell_open_ = false;
    } else if (word == "trhdr") {
      text_.SetHeaderRow();
    }
  }

  void Paragraph() {
    if (group().destination == Destination::kNote) {
      note_ += '\n';
    } else if (group().destination == Destination::kBody) {
      EndParagraph();
    }
  }

  // A UTF-16 unit as a signed number; its replacement follows.
  void Unicode(int value) {
    const auto unit = static_cast<uint32_t>(value & 0xFFFF);
    FlushBytes();
    std::string text;
    if (unit >= 0xD800 && unit < 0xDC00) {
      high_surrogate_ = unit;
    } else if (high_surrogate_ != 0 && unit >= 0xDC00 && unit < 0xE000) {
      AppendUtf8(0x10000 + ((high_surrogate_ - 0xD800) << 10) + (unit - 0xDC00),
                 &text);
      high_surrogate_ = 0;
    } else {
      AppendUtf8(unit, &text);
    }
    Text(text);
    to_skip_ = group().skip_after_unicode;
  }

  const absl::string_view name_;
  const absl::string_view source_;
  size_t at_ = 0;
  DocumentBuilder builder_;
  OfficeText text_;
  std::vector<Group> groups_;
  std::string bytes_;  // not yet decoded
  std::string note_;
  std::string property_;
  std::map<int, int> charsets_;  // code page by font
  int font_ = 0;
  int font_code_page_ = 0;
  int to_skip_ = 0;
  uint32_t high_surrogate_ = 0;
  bool first_in_group_ = false;
  bool star_ = false;
  int heading_ = 0;
  bool in_row_ = false;
  bool table_open_ = false;
  bool row_open_ = false;
  bool cell_open_ = false;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseRtf(absl::string_view name,
                                        absl::string_view source) {
  return RtfReader(name, source).Read();
}

}  // namespace braid::retrieval
