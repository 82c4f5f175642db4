#include "retrieval/ingest/media_type.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

using namespace media_type;

constexpr size_t kSniffBytes = 4096;
constexpr size_t kMaxZipCommentBytes = 65535;

struct Pattern {
  absl::string_view pattern;
  absl::string_view media_type;
};

// Files that begin with these bytes are of these types, whatever their name.
constexpr Pattern kMagic[] = {
    {"%PDF-", kPdf},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "application/x-ole-storage"},
    {"{\\rtf", kRtf},
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
    {"7z\xBC\xAF\x27\x1C", "application/x-7z-compressed"},
    {"Rar!\x1A\x07", "application/vnd.rar"},
};

constexpr Pattern kExtensions[] = {
    {".html", kHtml},
    {".htm", kHtml},
    {".xhtml", kHtml},
    {".md", kMarkdown},
    {".markdown", kMarkdown},
    {".mdown", kMarkdown},
    {".mkd", kMarkdown},
    {".rst", kRestructuredText},
    {".org", kOrg},
    {".csv", kCsv},
    {".tsv", kTsv},
    {".tab", kTsv},
    {".json", kJson},
    {".jsonl", kJsonLines},
    {".ndjson", kJsonLines},
    {".eml", kEmail},
    {".pdf", kPdf},
    {".docx", kDocx},
    {".docm", kDocx},
    {".xlsx", kXlsx},
    {".xlsm", kXlsx},
    {".pptx", kPptx},
    {".pptm", kPptx},
    {".ppsx", kPptx},
    {".odt", kOpenDocumentText},
    {".odp", kOpenDocumentPresentation},
    {".epub", kEpub},
    {".doc", kWord},
    {".xls", "application/vnd.ms-excel"},
    {".ppt", "application/vnd.ms-powerpoint"},
    {".rtf", kRtf},
};

// Members that tell what a zip archive is.
constexpr Pattern kZipMembers[] = {
    {"word/document.xml", kDocx},
    {"xl/workbook.xml", kXlsx},
    {"ppt/presentation.xml", kPptx},
    {"META-INF/container.xml", kEpub},
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

uint32_t LittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

// The type by the members that the directory at the archive's end lists: those
// of the archive itself, not of another that is embedded in it. Empty if they
// do not tell or there is no directory. (APPNOTE.TXT of zip, 4.3.12 and 4.3.16)
absl::string_view ByZipDirectory(absl::string_view content) {
  constexpr size_t kEndRecord = 22;
  constexpr size_t kEntry = 46;
  const size_t tail =
      content.size() -
      std::min(content.size(), kEndRecord + kMaxZipCommentBytes);
  const size_t at = content.substr(tail).rfind("PK\x05\x06");
  if (at == absl::string_view::npos) return "";
  const absl::string_view record = content.substr(tail + at);
  if (record.size() < kEndRecord) return "";
  const size_t size = LittleEndian(record.substr(12, 4));
  if (size > tail + at) return "";
  absl::string_view directory = content.substr(tail + at - size, size);
  const Pattern* found = std::end(kZipMembers);
  while (directory.size() >= kEntry &&
         absl::StartsWith(directory, "PK\x01\x02")) {
    const size_t name = LittleEndian(directory.substr(28, 2));
    const size_t extra = LittleEndian(directory.substr(30, 2));
    const size_t comment = LittleEndian(directory.substr(32, 2));
    const absl::string_view member = directory.substr(kEntry, name);
    found = std::find_if(
        std::begin(kZipMembers), found,
        [&](const Pattern& known) { return known.pattern == member; });
    directory.remove_prefix(
        std::min(directory.size(), kEntry + name + extra + comment));
  }
  return found == std::end(kZipMembers) ? "" : found->media_type;
}

// EPUB and OpenDocument begin with an uncompressed member "mimetype"; the
// others have members of fixed names, which the directory at the end lists.
std::string InsideZip(absl::string_view content, absl::string_view by_name) {
  constexpr size_t kHeader = 30;
  constexpr absl::string_view kMimetype = "mimetype";
  const absl::string_view head = content.substr(0, kSniffBytes);
  const size_t name = head.find(kMimetype);
  if (name == kHeader) {
    const absl::string_view value = head.substr(name + kMimetype.size());
    for (absl::string_view type :
         {kEpub, kOpenDocumentText, kOpenDocumentPresentation}) {
      // Behind an extra field there may be some bytes before it.
      if (absl::StrContains(value.substr(0, 256), type)) {
        return std::string(type);
      }
    }
  }
  if (const absl::string_view type = ByZipDirectory(content); !type.empty()) {
    return std::string(type);
  }
  // A damaged archive has lost its end.
  for (const Pattern& member : kZipMembers) {
    if (absl::StrContains(head, member.pattern)) {
      return std::string(member.media_type);
    }
  }
  return absl::StartsWith(by_name, "application/") ? std::string(by_name)
                                                   : "application/zip";
}

// A stream's name in the directory of an OLE file is UTF-16.
std::string InsideOle(absl::string_view content, absl::string_view by_name) {
  constexpr absl::string_view kWordDocument(
      "W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t\0", 24);
  constexpr absl::string_view kEncryptedPackage(
      "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0", 32);
  if (absl::StrContains(content, kWordDocument)) return std::string(kWord);
  if (absl::StrContains(content, kEncryptedPackage)) {
    return "application/x-ole-encrypted";
  }
  return by_name.empty() || by_name == kText ? "application/x-ole-storage"
                                             : std::string(by_name);
}

bool HasUnicodeBom(absl::string_view content) {
  return absl::StartsWith(content, "\xFF\xFE") ||
         absl::StartsWith(content, "\xFE\xFF") ||
         absl::StartsWith(content, absl::string_view("\0\0\xFE\xFF", 4));
}

// Text of which most characters are Latin has its zeros on one side.
bool LooksLikeUtf16(absl::string_view content) {
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\0') ++zeros[i % 2];
  }
  const size_t units = content.size() / 2;
  return units >= 4 && (zeros[0] == 0 || zeros[1] == 0) &&
         std::max(zeros[0], zeros[1]) * 2 > units;
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

// Begins with an object that has a key, or with an array of such.
bool LooksLikeJson(absl::string_view content) {
  absl::ConsumePrefix(&content, kUtf8Bom);
  content = absl::StripLeadingAsciiWhitespace(content);
  if (absl::ConsumePrefix(&content, "[")) {
    content = absl::StripLeadingAsciiWhitespace(content);
  }
  if (!absl::ConsumePrefix(&content, "{")) return false;
  content = absl::StripLeadingAsciiWhitespace(content);
  if (!absl::ConsumePrefix(&content, "\"")) return false;
  const size_t quote = content.find('"');
  if (quote == absl::string_view::npos) return false;
  return absl::StartsWith(
      absl::StripLeadingAsciiWhitespace(content.substr(quote + 1)), ":");
}

// Whether a second object begins on a line of its own.
bool LooksLikeJsonLines(absl::string_view content) {
  const size_t line = content.find('\n');
  if (line == absl::string_view::npos) return false;
  const absl::string_view first =
      absl::StripTrailingAsciiWhitespace(content.substr(0, line));
  return absl::EndsWith(first, "}") &&
         absl::StartsWith(
             absl::StripLeadingAsciiWhitespace(content.substr(line)), "{");
}

// Begins with header fields, a sender among them (RFC 5322).
bool LooksLikeEmail(absl::string_view head) {
  bool from = false;
  bool other = false;
  bool first = true;
  while (!head.empty()) {
    const absl::string_view line = head.substr(0, head.find('\n'));
    head.remove_prefix(std::min(head.size(), line.size() + 1));
    if (absl::StripTrailingAsciiWhitespace(line).empty()) break;
    if (!first && absl::ascii_isspace(line[0])) continue;  // folded
    first = false;
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || colon == 0) return false;
    const absl::string_view name = line.substr(0, colon);
    if (std::any_of(name.begin(), name.end(), [](char c) {
          return !absl::ascii_isgraph(static_cast<unsigned char>(c));
        })) {
      return false;
    }
    from = from || absl::EqualsIgnoreCase(name, "From");
    for (absl::string_view known :
         {"Date", "Message-ID", "Received", "MIME-Version", "Return-Path"}) {
      other = other || absl::EqualsIgnoreCase(name, known);
    }
  }
  return from && other;
}

}  // namespace

std::string DetectMediaType(absl::string_view file_name,
                            absl::string_view content) {
  const std::string by_name = ByExtension(file_name);
  for (const Pattern& magic : kMagic) {
    if (!absl::StartsWith(content, magic.pattern)) continue;
    if (magic.media_type == "application/x-ole-storage") {
      return InsideOle(content, by_name);
    }
    return std::string(magic.media_type);
  }
  if (absl::StartsWith(content, "PK\x03\x04")) {
    return InsideZip(content, by_name);
  }
  if (HasUnicodeBom(content)) {
    return by_name.empty() ? std::string(kText) : by_name;
  }
  const absl::string_view head = content.substr(0, kSniffBytes);
  const bool binary = absl::StrContains(head, absl::string_view("\0", 1));
  if (binary && by_name.empty() && !LooksLikeUtf16(head)) {
    return std::string(kBinary);
  }
  if (LooksLikeHtml(content)) return std::string(kHtml);
  if (!by_name.empty()) return by_name;
  if (LooksLikeJson(content)) {
    return std::string(LooksLikeJsonLines(content) ? kJsonLines : kJson);
  }
  if (LooksLikeEmail(head)) return std::string(kEmail);
  return std::string(kText);
}

std::string NormalizeMediaType(absl::string_view media_type) {
  std::string type = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(media_type.substr(0, media_type.find(';'))));
  constexpr Pattern kAliases[] = {
      {"text/x-markdown", kMarkdown},
      {"application/xhtml+xml", kHtml},
      {"text/rtf", kRtf},
      {"application/csv", kCsv},
      {"text/json", kJson},
      {"application/x-ndjson", kJsonLines},
      {"application/json-lines", kJsonLines},
      {"text/prs.fallenstein.rst", kRestructuredText},
      {"text/org", kOrg},
      {"application/x-pdf", kPdf},
  };
  for (const Pattern& alias : kAliases) {
    if (type == alias.pattern) return std::string(alias.media_type);
  }
  return type;
}

}  // namespace braid::retrieval
