#include "retrieval/ingest/formats/pdf_parser.h"

#include <iconv.h>
#include <poppler-document.h>
#include <poppler-global.h>
#include <poppler-page.h>
#include <poppler-toc.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/document_builder.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxHeadingBytes = 200;
constexpr size_t kMaxHeadingLines = 3;
// Larger than the body's type by so much is a heading's.
constexpr double kHeadingSize = 1.15;
constexpr size_t kMaxOutlineItems = 20000;

// To UTF-8, but not by poppler's own conversion, which opens files.
// Forms that only typesetting knows to what they stand for: ligatures ("ﬁnd" is
// found as "find") and the punctuation of vertical text.
std::string ToUtf8(const poppler::ustring& text) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* compatible = icu::Normalizer2::getNFKCInstance(error);
  icu::UnicodeString plain;
  for (const char16_t unit : text) {
    const bool ligature = unit >= 0xFB00 && unit <= 0xFB06;
    const bool vertical = unit >= 0xFE10 && unit <= 0xFE4F;
    if ((ligature || vertical) && U_SUCCESS(error)) {
      plain += compatible->normalize(icu::UnicodeString(unit), error);
    } else if (unit != 0xFEFF) {
      plain += unit;
    }
  }
  std::string utf8;
  plain.toUTF8String(utf8);
  return utf8;
}

// Letters and digits only, for comparing a line with the outline.
std::string Key(absl::string_view text) {
  std::string key;
  for (const char c : text) {
    if (absl::ascii_isspace(c) || absl::ascii_ispunct(c)) continue;
    key.push_back(absl::ascii_tolower(c));
  }
  return key;
}

// Words on one line.
struct Line {
  std::string text;
  poppler::rectf box;
  double size = 0;  // of the largest type in it
  bool space_after = false;
  bool vertical = false;  // a column of Asian text
};

struct Paragraph {
  std::string text;
  uint32_t page = 0;
  size_t lines = 0;
  double size = 0;
};

// Whether a word goes on where the line ends: it stands beside it.
bool GoesOn(const Line& line, const poppler::rectf& word) {
  const double overlap = std::min(line.box.bottom(), word.bottom()) -
                         std::max(line.box.top(), word.top());
  const double height = std::min(line.box.height(), word.height());
  const double gap = word.left() - line.box.right();
  return overlap > 0.5 * height && gap > -0.5 * height && gap < 4 * height;
}

// Whether a line belongs to the paragraph that ends with `last`.
bool SameParagraph(const Line& last, const Line& line) {
  if (last.vertical != line.vertical) return false;
  if (line.vertical) {
    // Columns go from right to left.
    const double gap = last.box.left() - line.box.right();
    return gap > -0.5 * line.box.width() && gap < 1.2 * line.box.width() &&
           std::abs(last.box.top() - line.box.top()) < 2 * line.box.width();
  }
  const double height = std::max(last.box.height(), line.box.height());
  const double gap = line.box.top() - last.box.bottom();
  const bool overlaps =
      line.box.left() < last.box.right() && last.box.left() < line.box.right();
  return overlaps && gap > -0.5 * height && gap < 0.6 * height &&
         std::abs(last.size - line.size) < 0.1 * last.size;
}

poppler::rectf Union(const poppler::rectf& a, const poppler::rectf& b) {
  const double left = std::min(a.left(), b.left());
  const double top = std::min(a.top(), b.top());
  return poppler::rectf(left, top, std::max(a.right(), b.right()) - left,
                        std::max(a.bottom(), b.bottom()) - top);
}

std::vector<Line> LinesOf(const poppler::page& page) {
  std::vector<Line> lines;
  for (const poppler::text_box& word :
       page.text_list(poppler::page::text_list_include_font)) {
    const std::string text = ToUtf8(word.text());
    if (text.empty()) continue;
    const poppler::rectf box = word.bbox();
    const double size =
        word.has_font_info() ? word.get_font_size() : box.height();
    const bool vertical = word.has_font_info() &&
                          word.get_wmode() == poppler::text_box::vertical_wmode;
    if (!lines.empty() && !vertical && !lines.back().vertical &&
        GoesOn(lines.back(), box)) {
      Line& line = lines.back();
      // Without a space after it a word may still stand apart (a table's
      // cells).
      if (line.space_after ||
          box.left() - line.box.right() > 0.15 * box.height()) {
        line.text += ' ';
      }
      line.text += text;
      line.box = Union(line.box, box);
      line.size = std::max(line.size, size);
      line.space_after = word.has_space_after();
    } else {
      lines.push_back({text, box, size, word.has_space_after(), vertical});
    }
  }
  return lines;
}

class PdfReader {
 public:
  PdfReader(absl::string_view name, absl::string_view source)
      : builder_(name, source), name_(name), source_bytes_(source.size()) {}

  absl::StatusOr<ParsedDocument> Read(poppler::document& document) {
    absl::Status status = ReadPages(document);
    if (!status.ok()) return status;
    ReadOutline(document);
    AddBlocks();
    if (builder_.empty() && builder_.status().ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": no text on any of its ", document.pages(),
                       " pages (scanned pages are not read: there is no OCR)"));
    }
    builder_.SetTitle(ToUtf8(document.info_key("Title")));
    builder_.SetMetadata("author", ToUtf8(document.info_key("Author")));
    builder_.SetMetadata("subject", ToUtf8(document.info_key("Subject")));
    builder_.SetMetadata("keywords", ToUtf8(document.info_key("Keywords")));
    builder_.SetMetadata("pages", static_cast<double>(document.pages()));
    if (pages_without_text_ > 0) {
      builder_.SetMetadata("pages_without_text",
                           static_cast<double>(pages_without_text_));
    }
    return builder_.Finish();
  }

 private:
  absl::Status ReadPages(poppler::document& document) {
    size_t text_bytes = 0;
    for (int i = 0; i < document.pages(); ++i) {
      const std::unique_ptr<poppler::page> page(document.create_page(i));
      const size_t before = paragraphs_.size();
      if (page != nullptr) AddLines(LinesOf(*page), i + 1);
      if (paragraphs_.size() == before) ++pages_without_text_;
      for (size_t k = before; k < paragraphs_.size(); ++k) {
        text_bytes += paragraphs_[k].text.size();
      }
      if (text_bytes > OutputLimit(source_bytes_)) {
        return OutputLimitError(name_, source_bytes_);
      }
    }
    return absl::OkStatus();
  }

  void AddLines(const std::vector<Line>& lines, uint32_t page) {
    const Line* last = nullptr;
    for (const Line& line : lines) {
      if (absl::StripAsciiWhitespace(line.text).empty()) continue;
      if (last == nullptr || !SameParagraph(*last, line)) {
        paragraphs_.push_back({"", page, 0, line.size});
      } else {
        paragraphs_.back().text += '\n';
      }
      paragraphs_.back().text += line.text;
      ++paragraphs_.back().lines;
      last = &line;
    }
  }

  // Titles of the outline by level. Its tree is walked without recursion.
  void ReadOutline(poppler::document& document) {
    const std::unique_ptr<poppler::toc> toc(document.create_toc());
    if (toc == nullptr || toc->root() == nullptr) return;
    std::vector<std::pair<const poppler::toc_item*, int>> open = {
        {toc->root(), 0}};
    while (!open.empty() && outline_.size() < kMaxOutlineItems) {
      const auto [item, level] = open.back();
      open.pop_back();
      if (level > 0) outline_.emplace(Key(ToUtf8(item->title())), level);
      for (const poppler::toc_item* child : item->children()) {
        open.emplace_back(child, level + 1);
      }
    }
    outline_.erase("");
  }

  // Level of each type size that is a heading's, when there is no outline.
  std::map<double, int> HeadingSizes() const {
    std::map<double, size_t> bytes;
    for (const Paragraph& paragraph : paragraphs_) {
      bytes[Rounded(paragraph.size)] += paragraph.text.size();
    }
    double body = 0;
    size_t most = 0;
    for (const auto& [size, count] : bytes) {
      if (count > most) {
        most = count;
        body = size;
      }
    }
    std::set<double, std::greater<>> sizes;
    for (const Paragraph& paragraph : paragraphs_) {
      if (Rounded(paragraph.size) >= body * kHeadingSize &&
          MayBeHeading(paragraph)) {
        sizes.insert(Rounded(paragraph.size));
      }
    }
    std::map<double, int> levels;
    int level = 1;
    for (const double size : sizes) levels[size] = std::min(level++, 6);
    return levels;
  }

  static double Rounded(double size) { return std::round(size * 2) / 2; }

  static bool MayBeHeading(const Paragraph& paragraph) {
    return paragraph.lines <= kMaxHeadingLines &&
           paragraph.text.size() <= kMaxHeadingBytes &&
           std::any_of(paragraph.text.begin(), paragraph.text.end(),
                       [](char c) {
                         return absl::ascii_isalpha(c) || (c & 0x80) != 0;
                       });
  }

  // 0 if it is none.
  int HeadingLevel(const Paragraph& paragraph,
                   const std::map<double, int>& sizes) const {
    if (!MayBeHeading(paragraph)) return 0;
    if (!outline_.empty()) {
      const auto found = outline_.find(Key(paragraph.text));
      return found == outline_.end() ? 0 : found->second;
    }
    const auto found = sizes.find(Rounded(paragraph.size));
    return found == sizes.end() ? 0 : found->second;
  }

  void AddBlocks() {
    const std::map<double, int> sizes = HeadingSizes();
    for (const Paragraph& paragraph : paragraphs_) {
      builder_.set_page(paragraph.page);
      const int level = HeadingLevel(paragraph, sizes);
      if (level > 0) {
        builder_.AddHeading(level, paragraph.text);
      } else {
        builder_.Add(BlockKind::kParagraph, paragraph.text);
      }
    }
  }

  DocumentBuilder builder_;
  const absl::string_view name_;
  const size_t source_bytes_;
  std::vector<Paragraph> paragraphs_;
  size_t pages_without_text_ = 0;
  std::map<std::string, int> outline_;
};

// Poppler's first complaint says most.
void KeepFirst(const std::string& message, void* kept) {
  auto* first = static_cast<std::string*>(kept);
  if (first->empty()) *first = message.substr(0, 200);
}

}  // namespace

void PreparePdfParser() {
  // Kept open for good: poppler converts with these, and the C library loads
  // them from files.
  iconv_open("UTF-16", "UTF-8");
  iconv_open("UTF-8", "UTF-16");
}

absl::StatusOr<ParsedDocument> ParsePdf(absl::string_view name,
                                        absl::string_view source) {
  std::string complaint;
  poppler::set_debug_error_function(KeepFirst, &complaint);
  const std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(source.data(),
                                            static_cast<int>(source.size())));
  if (document == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": no PDF, or a damaged one", complaint.empty() ? "" : ": ",
        absl::StripAsciiWhitespace(CleanText(complaint))));
  }
  if (document->is_locked()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is encrypted: it needs a password"));
  }
  return PdfReader(name, source).Read(*document);
}

}  // namespace braid::retrieval
