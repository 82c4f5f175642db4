#include "retrieval/ingest/parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/html_parser.h"
#include "retrieval/ingest/markdown_parser.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr absl::string_view kText = "text/plain";
constexpr absl::string_view kMarkdown = "text/markdown";
constexpr absl::string_view kHtml = "text/html";
constexpr size_t kSniffBytes = 4096;
constexpr size_t kMaxTitleBytes = 1024;

struct Pattern {
  absl::string_view pattern;
  absl::string_view media_type;
};

// Files that begin with these bytes are of these types, whatever their name.
constexpr Pattern kMagic[] = {
    {"%PDF-", "application/pdf"},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "application/x-ole-storage"},
    {"{\\rtf", "application/rtf"},
    {"\x1F\x8B", "application/gzip"},
    {"\x89PNG\r\n", "image/png"},
    {"\xFF\xD8\xFF", "image/jpeg"},
    {"GIF8", "image/gif"},
    {"\x7F"
     "ELF",
     "application/x-elf"},
    {"BZh", "application/x-bzip2"},
    {"\xFD"
     "7zXZ",
     "application/x-xz"},
    {"\x28\xB5\x2F\xFD", "application/zstd"},
};

constexpr Pattern kExtensions[] = {
    {".html", kHtml},
    {".htm", kHtml},
    {".xhtml", kHtml},
    {".md", kMarkdown},
    {".markdown", kMarkdown},
    {".mdown", kMarkdown},
    {".mkd", kMarkdown},
    {".pdf", "application/pdf"},
    {".docx",
     "application/"
     "vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {".xlsx",
     "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {".pptx",
     "application/"
     "vnd.openxmlformats-officedocument.presentationml.presentation"},
    {".odt", "application/vnd.oasis.opendocument.text"},
    {".epub", "application/epub+zip"},
    {".doc", "application/msword"},
    {".rtf", "application/rtf"},
};

std::string ByExtension(absl::string_view file_name) {
  const std::string name = absl::AsciiStrToLower(file_name);
  for (const Pattern& extension : kExtensions) {
    if (absl::EndsWith(name, extension.pattern)) {
      return std::string(extension.media_type);
    }
  }
  return "";
}

// Whether the document begins like HTML, behind white space, a byte order mark,
// an XML declaration and comments.
bool LooksLikeHtml(absl::string_view content) {
  absl::ConsumePrefix(&content, kUtf8Bom);
  while (true) {
    content = absl::StripLeadingAsciiWhitespace(content);
    absl::string_view close;
    if (absl::StartsWith(content, "<?xml")) {
      close = "?>";
    } else if (absl::StartsWith(content, "<!--")) {
      close = "-->";
    } else {
      break;
    }
    const size_t end = content.find(close);
    if (end == absl::string_view::npos) return false;
    content.remove_prefix(end + close.size());
  }
  for (absl::string_view tag :
       {"<!doctype html", "<html", "<head", "<body", "<title"}) {
    if (!absl::StartsWithIgnoreCase(content, tag)) continue;
    if (content.size() == tag.size()) return true;
    const char next = content[tag.size()];
    if (next == '>' || next == '/' || absl::ascii_isspace(next)) return true;
  }
  return false;
}

bool HasUtf16Bom(absl::string_view content) {
  return absl::StartsWith(content, "\xFF\xFE") ||
         absl::StartsWith(content, "\xFE\xFF");
}

// "text/html; charset=x" and "Text/HTML" to "text/html"; known aliases too.
std::string NormalizeMediaType(absl::string_view media_type) {
  std::string type = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(media_type.substr(0, media_type.find(';'))));
  if (type == "text/x-markdown") return std::string(kMarkdown);
  if (type == "application/xhtml+xml") return std::string(kHtml);
  return type;
}

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

bool IsBlankLine(absl::string_view line) {
  return absl::StripAsciiWhitespace(line).empty();
}

absl::StatusOr<ParsedDocument> ParsePlainText(absl::string_view name,
                                              absl::string_view source) {
  if (absl::Status status = CheckText(name, source); !status.ok()) {
    return status;
  }
  ParsedDocument document;
  document.text = std::string(source);
  document.blocks = PlainTextBlocks(source);
  return document;
}

}  // namespace

std::vector<Block> PlainTextBlocks(absl::string_view text) {
  std::vector<Block> blocks;
  size_t at = absl::StartsWith(text, kUtf8Bom) ? kUtf8Bom.size() : 0;
  bool open = false;
  while (at < text.size()) {
    size_t end = text.find('\n', at);
    const size_t next = end == absl::string_view::npos ? text.size() : end + 1;
    absl::string_view line = text.substr(at, next - at);
    if (IsBlankLine(line)) {
      open = false;
    } else {
      const size_t line_end =
          at + absl::StripTrailingAsciiWhitespace(line).size();
      if (!open) blocks.emplace_back().text_range.begin = at;
      blocks.back().text_range.end = line_end;
      open = true;
    }
    at = next;
  }
  for (Block& block : blocks) block.source_range = block.text_range;
  return blocks;
}

std::string DetectMediaType(absl::string_view file_name,
                            absl::string_view content) {
  for (const Pattern& magic : kMagic) {
    if (absl::StartsWith(content, magic.pattern)) {
      return std::string(magic.media_type);
    }
  }
  const std::string by_name = ByExtension(file_name);
  if (absl::StartsWith(content, "PK\x03\x04")) {
    return absl::StartsWith(by_name, "application/") ? by_name
                                                     : "application/zip";
  }
  if (HasUtf16Bom(content)) {
    return std::string(by_name == kHtml ? kHtml : kText);
  }
  const bool binary = absl::StrContains(content.substr(0, kSniffBytes),
                                        absl::string_view("\0", 1));
  if (binary && by_name.empty()) {
    return "application/octet-stream";
  }
  if (LooksLikeHtml(content)) return std::string(kHtml);
  return by_name.empty() ? std::string(kText) : by_name;
}

absl::StatusOr<ParsedDocument> ParseSource(const SourceFile& source) {
  const std::string& name =
      source.document_id.empty() ? source.file_name : source.document_id;
  const absl::string_view content = source.content;
  absl::string_view visible = content;
  absl::ConsumePrefix(&visible, kUtf8Bom);
  if (absl::StripAsciiWhitespace(visible).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": is empty"));
  }
  const std::string media_type =
      source.media_type.empty() ? DetectMediaType(source.file_name, content)
                                : NormalizeMediaType(source.media_type);
  absl::StatusOr<ParsedDocument> document;
  if (media_type == kHtml) {
    document = ParseHtml(name, content);
  } else if (HasUtf16Bom(content) && absl::StartsWith(media_type, "text/")) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": UTF-16 text; convert it to UTF-8 first"));
  } else if (media_type == kMarkdown) {
    document = ParseMarkdown(name, content);
  } else if (media_type == kText) {
    document = ParsePlainText(name, content);
  } else if (media_type == "application/octet-stream") {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": binary data, not text (NUL byte at offset ",
                     content.find('\0'), ")"));
  } else {
    return absl::UnimplementedError(absl::StrCat(
        name, ": media type ", media_type,
        " is not read; give text/plain, text/markdown or text/html"));
  }
  if (!document.ok()) return document.status();

  document->media_type = media_type;
  if (document->title.empty()) {
    document->title = std::string(BaseName(source.file_name));
  }
  document->title = std::string(TruncateUtf8(document->title, kMaxTitleBytes));
  for (const auto& [key, value] : source.metadata) {
    document->metadata.insert_or_assign(key, value);
  }
  if (document->blocks.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has no text to read"));
  }
  return document;
}

}  // namespace braid::retrieval
