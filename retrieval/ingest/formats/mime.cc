#include "retrieval/ingest/formats/mime.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/charset.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxDepth = 20;
constexpr size_t kMaxParts = 1000;
constexpr size_t kMaxHeaderFields = 1000;
constexpr size_t kMaxFieldBytes = 64 << 10;

std::string DecodeQuotedPrintable(absl::string_view text, bool in_header) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned int byte = 0;
    if (text[i] == '_' && in_header) {
      bytes.push_back(' ');
    } else if (text[i] != '=') {
      bytes.push_back(text[i]);
    } else if (i + 2 < text.size() &&
               absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte)) {
      bytes.push_back(static_cast<char>(byte));
      i += 2;
    } else if (i + 1 == text.size()) {
      break;
    } else {
      // A soft line break; blanks before it are not part of the text.
      size_t end = i + 1;
      while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) {
        ++end;
      }
      if (end < text.size() && text[end] == '\r') ++end;
      if (end < text.size() && text[end] == '\n') {
        i = end;
      } else {
        bytes.push_back('=');
      }
    }
  }
  return bytes;
}

int Base64Digit(char c) {
  if (absl::ascii_isupper(c)) return c - 'A';
  if (absl::ascii_islower(c)) return c - 'a' + 26;
  if (absl::ascii_isdigit(c)) return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

// Skips what is no digit, as mail programs do; ends at the padding.
std::string DecodeBase64(absl::string_view text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    const int digit = Base64Digit(c);
    if (digit < 0) continue;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count));
      bits &= (1u << count) - 1;
    }
  }
  return bytes;
}

std::string ToUtf8(absl::string_view bytes, const std::string& charset) {
  absl::StatusOr<DecodedText> decoded =
      DecodedText::DecodeAs("", bytes, charset);
  if (!decoded.ok()) decoded = DecodedText::Decode("", bytes);
  return std::string(decoded.ok() ? decoded->text() : bytes);
}

// Encoded words, "=?charset?B or Q?text?=", to text; white space between two of
// them goes.
std::string DecodeWords(absl::string_view field) {
  std::string text;
  bool after_word = false;
  while (!field.empty()) {
    const size_t begin = field.find("=?");
    const absl::string_view plain = field.substr(0, begin);
    if (!(after_word && absl::StripAsciiWhitespace(plain).empty() &&
          begin != absl::string_view::npos)) {
      absl::StrAppend(&text, plain);
    }
    if (begin == absl::string_view::npos) break;
    field.remove_prefix(begin + 2);
    const size_t first = field.find('?');
    const size_t end =
        first == absl::string_view::npos || first + 3 > field.size()
            ? absl::string_view::npos
            : field.find("?=", first + 3);
    if (end == absl::string_view::npos || field[first + 2] != '?' ||
        first > 40) {
      text += "=?";
      after_word = false;
      continue;
    }
    // A language may follow the charset (RFC 2231).
    const absl::string_view charset = field.substr(0, first);
    const absl::string_view word = field.substr(first + 3, end - first - 3);
    const bool base64 = absl::ascii_tolower(field[first + 1]) == 'b';
    text +=
        ToUtf8(base64 ? DecodeBase64(word) : DecodeQuotedPrintable(word, true),
               std::string(charset.substr(0, charset.find('*'))));
    field.remove_prefix(end + 2);
    after_word = true;
  }
  return text;
}

// Reads a header block from *at to behind the empty line that ends it.
MimeHeader ParseHeader(absl::string_view source, size_t end, size_t* at) {
  MimeHeader header;
  std::string name;
  std::string value;
  auto flush = [&] {
    if (name.empty() || header.size() >= kMaxHeaderFields) return;
    // Bytes above ASCII should be encoded and often are not.
    const std::string utf8 = FindInvalidUtf8(value) == absl::string_view::npos
                                 ? value
                                 : ToUtf8(value, "");
    header.emplace(absl::AsciiStrToLower(name), CleanText(DecodeWords(utf8)));
  };
  while (*at < end) {
    const size_t line_end = std::min(source.find('\n', *at), end);
    const absl::string_view line =
        absl::StripTrailingAsciiWhitespace(source.substr(*at, line_end - *at));
    *at = std::min(line_end + 1, end);
    if (line.empty()) break;
    if (absl::ascii_isspace(line[0])) {
      if (value.size() < kMaxFieldBytes) {
        absl::StrAppend(&value, " ", absl::StripLeadingAsciiWhitespace(line));
      }
      continue;
    }
    flush();
    const size_t colon = line.find(':');
    name = std::string(
        colon == absl::string_view::npos
            ? absl::string_view()
            : absl::StripTrailingAsciiWhitespace(line.substr(0, colon)));
    value = name.empty() ? ""
                         : std::string(absl::StripAsciiWhitespace(
                               line.substr(colon + 1, kMaxFieldBytes)));
  }
  flush();
  return header;
}

std::string Field(const MimeHeader& header, const std::string& name) {
  const auto found = header.find(name);
  return found == header.end() ? "" : found->second;
}

// A piece of the source that is still to be taken apart.
struct Pending {
  ByteRange range;
  size_t depth = 0;
  size_t alternative = 0;
};

// The parts of a multipart body between its boundary lines.
std::vector<ByteRange> SplitParts(absl::string_view source, ByteRange body,
                                  absl::string_view boundary) {
  std::vector<ByteRange> parts;
  const std::string mark = absl::StrCat("--", boundary);
  size_t begin = absl::string_view::npos;  // of the part that is open
  size_t at = body.begin;
  while (at < body.end && parts.size() < kMaxParts) {
    const size_t line_end = std::min<size_t>(source.find('\n', at), body.end);
    const absl::string_view line =
        absl::StripTrailingAsciiWhitespace(source.substr(at, line_end - at));
    const bool last = line.size() == mark.size() + 2 &&
                      absl::StartsWith(line, mark) &&
                      absl::EndsWith(line, "--");
    if (line == mark || last) {
      if (begin != absl::string_view::npos) {
        // The line end before a boundary belongs to it.
        size_t end = at;
        if (end > begin && source[end - 1] == '\n') --end;
        if (end > begin && source[end - 1] == '\r') --end;
        parts.push_back({begin, end});
      }
      begin = std::min<size_t>(line_end + 1, body.end);
      if (last) return parts;
    }
    at = line_end + 1;
  }
  if (begin != absl::string_view::npos && begin < body.end) {
    parts.push_back({begin, body.end});
  }
  return parts;
}

}  // namespace

MimeValue ParseMimeValue(absl::string_view field) {
  MimeValue result;
  const size_t semicolon = std::min(field.find(';'), field.size());
  result.value = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(field.substr(0, semicolon)));
  field.remove_prefix(semicolon);
  while (absl::ConsumePrefix(&field, ";")) {
    const size_t equals = field.find('=');
    if (equals == absl::string_view::npos) break;
    const std::string name = absl::AsciiStrToLower(
        absl::StripAsciiWhitespace(field.substr(0, equals)));
    field = absl::StripLeadingAsciiWhitespace(field.substr(equals + 1));
    std::string value;
    if (absl::ConsumePrefix(&field, "\"")) {
      size_t i = 0;
      for (; i < field.size() && field[i] != '"'; ++i) {
        if (field[i] == '\\' && i + 1 < field.size()) ++i;
        value.push_back(field[i]);
      }
      field.remove_prefix(std::min(i + 1, field.size()));
    }
    const size_t end = std::min(field.find(';'), field.size());
    if (value.empty()) {
      value = std::string(absl::StripAsciiWhitespace(field.substr(0, end)));
    }
    field.remove_prefix(end);
    result.parameters.emplace(name, value);
  }
  return result;
}

MimeMessage ParseMime(absl::string_view source) {
  MimeMessage message;
  size_t at = 0;
  message.header = ParseHeader(source, source.size(), &at);
  message.header_range = {0, at};
  size_t alternatives = 0;
  std::vector<Pending> pending = {{{0, source.size()}, 0, 0}};
  while (!pending.empty() && message.parts.size() < kMaxParts) {
    const Pending next = pending.back();
    pending.pop_back();
    size_t body = next.range.begin;
    MimePart part;
    part.header = ParseHeader(source, next.range.end, &body);
    part.type = ParseMimeValue(Field(part.header, "content-type"));
    if (part.type.value.empty()) part.type.value = "text/plain";
    part.body = {body, next.range.end};
    const std::string& boundary = part.type.parameters["boundary"];
    const bool forwarded = part.type.value == "message/rfc822";
    if (absl::StartsWith(part.type.value, "multipart/") && !boundary.empty()) {
      if (next.depth >= kMaxDepth) continue;
      const size_t alternative = part.type.value == "multipart/alternative"
                                     ? ++alternatives
                                     : next.alternative;
      std::vector<ByteRange> parts = SplitParts(source, part.body, boundary);
      // On a stack: the first comes off first.
      std::reverse(parts.begin(), parts.end());
      for (const ByteRange& range : parts) {
        pending.push_back({range, next.depth + 1, alternative});
      }
      continue;
    }
    if (forwarded && next.depth < kMaxDepth) {
      pending.push_back({part.body, next.depth + 1, 0});
      continue;
    }
    const MimeValue disposition =
        ParseMimeValue(Field(part.header, "content-disposition"));
    for (const MimeValue* value :
         {&disposition, static_cast<const MimeValue*>(&part.type)}) {
      for (const char* key : {"filename", "name"}) {
        const auto name = value->parameters.find(key);
        if (part.file_name.empty() && name != value->parameters.end()) {
          part.file_name = name->second;
        }
      }
    }
    part.attachment = disposition.value == "attachment";
    part.alternative_to = next.alternative;
    message.parts.push_back(std::move(part));
  }
  return message;
}

bool IsIdentity(const MimePart& part) {
  const std::string encoding =
      absl::AsciiStrToLower(Field(part.header, "content-transfer-encoding"));
  return encoding != "quoted-printable" && encoding != "base64";
}

std::string DecodeTransfer(const MimePart& part, absl::string_view body) {
  const std::string encoding =
      absl::AsciiStrToLower(Field(part.header, "content-transfer-encoding"));
  if (encoding == "base64") return DecodeBase64(body);
  if (encoding == "quoted-printable") return DecodeQuotedPrintable(body, false);
  return std::string(body);
}

}  // namespace braid::retrieval
