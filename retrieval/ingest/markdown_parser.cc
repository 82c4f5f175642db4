#include "retrieval/ingest/markdown_parser.h"

#include <string>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/ffi/markdown_ffi.h"
#include "retrieval/ingest/front_matter.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

// Every open container costs time on every line below it, so what nests deeper
// than anyone writes is refused.
constexpr size_t kMaxNesting = 500;

// Owns a document of the C ABI.
class Markdown {
 public:
  Markdown() = default;
  ~Markdown() { braid_markdown_free(document_); }
  Markdown(const Markdown&) = delete;
  Markdown& operator=(const Markdown&) = delete;

  absl::Status Parse(absl::string_view name, absl::string_view text) {
    char* message = nullptr;
    const int code =
        braid_markdown_parse(text.data(), text.size(), &document_, &message);
    if (code == 0) return absl::OkStatus();
    std::string error = absl::StrCat(
        name, ": ", message == nullptr ? "Markdown parser failed" : message);
    braid_markdown_free_error(message);
    return code == 1 ? absl::InvalidArgumentError(error)
                     : absl::InternalError(error);
  }

  const BraidMarkdownDocument* get() const { return document_; }

 private:
  BraidMarkdownDocument* document_ = nullptr;
};

// Containers that the start of `line` may open or continue: markers, and two
// columns of indentation each.
size_t CountNesting(absl::string_view line) {
  size_t markers = 0;
  size_t blanks = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool blank_next =
        i + 1 == line.size() || line[i + 1] == ' ' || line[i + 1] == '\t';
    if (c == ' ') {
      ++blanks;
    } else if (c == '\t') {
      blanks += 4;
    } else if (c == '>' ||
               ((c == '-' || c == '*' || c == '+' || c == '.' || c == ')') &&
                blank_next)) {
      ++markers;
    } else if (!absl::ascii_isdigit(c)) {
      break;
    }
  }
  // One blank belongs to each marker.
  return markers + (blanks > markers ? (blanks - markers) / 2 : 0);
}

absl::Status CheckNesting(absl::string_view name, absl::string_view text) {
  size_t number = 1;
  for (size_t at = 0; at < text.size(); ++number) {
    size_t end = text.find('\n', at);
    if (end == absl::string_view::npos) end = text.size();
    const size_t nesting = CountNesting(text.substr(at, end - at));
    if (nesting > kMaxNesting) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name, ": line ", number, " nests ", nesting,
                       " quotes or lists deep; the limit is ", kMaxNesting));
    }
    at = end + 1;
  }
  return absl::OkStatus();
}

BlockKind KindOf(uint32_t kind) {
  switch (kind) {
    case BRAID_MARKDOWN_HEADING:
      return BlockKind::kHeading;
    case BRAID_MARKDOWN_LIST_ITEM:
      return BlockKind::kListItem;
    case BRAID_MARKDOWN_TABLE:
      return BlockKind::kTable;
    case BRAID_MARKDOWN_CODE:
      return BlockKind::kCode;
    default:
      return BlockKind::kParagraph;
  }
}

}  // namespace

absl::StatusOr<ParsedDocument> ParseMarkdown(absl::string_view name,
                                             absl::string_view source) {
  if (absl::Status status = CheckText(name, source); !status.ok()) {
    return status;
  }
  // The parser would take a byte order mark for text.
  const uint64_t base =
      absl::StartsWith(source, kUtf8Bom) ? kUtf8Bom.size() : 0;
  const absl::string_view text = source.substr(base);
  if (absl::Status status = CheckNesting(name, text); !status.ok()) {
    return status;
  }
  Markdown markdown;
  if (absl::Status status = markdown.Parse(name, text); !status.ok()) {
    return status;
  }

  ParsedDocument document;
  document.text = std::string(source);
  uint64_t begin = 0;
  uint64_t end = 0;
  braid_markdown_front_matter(markdown.get(), &begin, &end);
  document.metadata = ParseFrontMatter(text.substr(begin, end - begin));
  if (auto title = document.metadata.extract("title"); !title.empty()) {
    if (auto* value = std::get_if<std::string>(&title.mapped())) {
      document.title = *value;
    }
  }

  size_t headings_size = 0;
  const char* headings =
      braid_markdown_headings(markdown.get(), &headings_size);
  size_t count = 0;
  const BraidMarkdownBlock* blocks =
      braid_markdown_blocks(markdown.get(), &count);
  document.blocks.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    Block block;
    block.kind = KindOf(blocks[i].kind);
    block.level = static_cast<int>(blocks[i].level);
    block.text_range = {base + blocks[i].begin, base + blocks[i].end};
    block.source_range = block.text_range;
    if (block.kind == BlockKind::kHeading) {
      block.heading.assign(headings + blocks[i].heading_begin,
                           blocks[i].heading_end - blocks[i].heading_begin);
      absl::RemoveExtraAsciiWhitespace(&block.heading);
      if (document.title.empty()) document.title = block.heading;
    }
    document.blocks.push_back(std::move(block));
  }
  return document;
}

}  // namespace braid::retrieval
