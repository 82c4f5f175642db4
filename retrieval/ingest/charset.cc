#include "retrieval/ingest/charset.h"

#include <unicode/uchar.h>
#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

constexpr size_t kPrescanBytes = 1024;

// The value after "charset=" or "encoding=", quoted or not.
std::string ValueAfter(absl::string_view text, absl::string_view key) {
  for (size_t at = text.find(key); at != absl::string_view::npos;
       at = text.find(key, at + 1)) {
    absl::string_view rest =
        absl::StripLeadingAsciiWhitespace(text.substr(at + key.size()));
    if (!absl::ConsumePrefix(&rest, "=")) continue;
    rest = absl::StripLeadingAsciiWhitespace(rest);
    if (!rest.empty() && (rest[0] == '"' || rest[0] == '\'')) {
      rest.remove_prefix(1);
    }
    size_t length = 0;
    while (length < rest.size() &&
           (absl::ascii_isalnum(rest[length]) ||
            absl::StrContains("-_.:", rest.substr(length, 1)))) {
      ++length;
    }
    if (length > 0) return std::string(rest.substr(0, length));
  }
  return "";
}

struct ConverterCloser {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};

struct DetectorCloser {
  void operator()(UCharsetDetector* detector) const { ucsdet_close(detector); }
};

struct Bom {
  absl::string_view bytes;
  const char* charset;
};

// The longer ones first: that of UTF-32 begins like that of UTF-16.
constexpr Bom kBoms[] = {
    {kUtf8Bom, "utf-8"},
    {absl::string_view("\xFF\xFE\0\0", 4), "utf-32le"},
    {absl::string_view("\0\0\xFE\xFF", 4), "utf-32be"},
    {"\xFF\xFE", "utf-16le"},
    {"\xFE\xFF", "utf-16be"},
};

const Bom* FindBom(absl::string_view source) {
  for (const Bom& bom : kBoms) {
    if (absl::StartsWith(source, bom.bytes)) return &bom;
  }
  return nullptr;
}

// Enough to tell by; ICU looks at no more than 8,000 bytes of it in any case
// for most encodings.
constexpr size_t kDetectBytes = 64 << 10;
constexpr int32_t kMinConfidence = 10;  // of 100

// `source` is not UTF-8. Text that is nearly UTF-8 is damaged UTF-8, and what
// is wrong with it is said rather than guessed around.
absl::StatusOr<std::string> DetectCharset(absl::string_view name,
                                          absl::string_view source) {
  const absl::Status not_utf8 = CheckText(name, source);
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UCharsetDetector, DetectorCloser> detector(
      ucsdet_open(&error));
  // From where it stops being ASCII: that is what tells encodings apart.
  size_t first = FindInvalidUtf8(source);
  if (first == absl::string_view::npos) first = 0;
  first =
      first > kDetectBytes / 2 ? (first - kDetectBytes / 2) & ~size_t{3} : 0;
  const absl::string_view sample = source.substr(first, kDetectBytes);
  ucsdet_setText(detector.get(), sample.data(),
                 static_cast<int32_t>(sample.size()), &error);
  const UCharsetMatch* match = ucsdet_detect(detector.get(), &error);
  if (U_FAILURE(error) || match == nullptr) return not_utf8;
  const int32_t confidence = ucsdet_getConfidence(match, &error);
  const char* detected = ucsdet_getName(match, &error);
  if (U_FAILURE(error) || detected == nullptr || confidence < kMinConfidence) {
    return not_utf8;
  }
  std::string charset = absl::AsciiStrToLower(detected);
  // Only UTF-16 and UTF-32 have NUL bytes in text.
  const bool has_nul = source.find('\0') != absl::string_view::npos;
  const bool wide = absl::StartsWith(charset, "utf-16") ||
                    absl::StartsWith(charset, "utf-32");
  if (charset == "utf-8" || has_nul != wide) return not_utf8;
  return charset;
}

// More control characters, private ones and ones that do not exist than any
// text has: one in fifty.
bool LooksBinary(absl::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  size_t characters = 0;
  size_t strange = 0;
  for (size_t i = 0; i < text.size();) {
    UChar32 c = 0;
    U8_NEXT_UNSAFE(bytes, i, c);
    ++characters;
    if (c < 0x80 && absl::ascii_isspace(static_cast<unsigned char>(c))) {
      continue;
    }
    const int8_t type = u_charType(c);
    strange += type == U_CONTROL_CHAR || type == U_UNASSIGNED ||
               type == U_PRIVATE_USE_CHAR || c == 0xFFFD;
  }
  return strange * 50 > characters;
}

}  // namespace

std::string DeclaredCharset(absl::string_view html) {
  const std::string head = absl::AsciiStrToLower(html.substr(0, kPrescanBytes));
  for (size_t at = head.find("<meta"); at != std::string::npos;
       at = head.find("<meta", at + 1)) {
    const size_t close = head.find('>', at);
    const std::string value =
        ValueAfter(absl::string_view(head).substr(
                       at, close == std::string::npos ? close : close - at),
                   "charset");
    if (!value.empty()) return value;
  }
  if (absl::StartsWith(head, "<?xml")) {
    const size_t close = head.find("?>");
    return ValueAfter(absl::string_view(head).substr(0, close), "encoding");
  }
  return "";
}

absl::StatusOr<DecodedText> DecodedText::DecodeHtml(absl::string_view name,
                                                    absl::string_view source) {
  std::string charset;
  if (FindBom(source) == nullptr) {
    charset = DeclaredCharset(source);
    // Readable as ASCII up to here, so it cannot be UTF-16 (as browsers do).
    if (absl::StartsWith(charset, "utf-16")) charset = "utf-8";
  }
  return DecodeAs(name, source, charset);
}

absl::StatusOr<DecodedText> DecodedText::Decode(absl::string_view name,
                                                absl::string_view source) {
  return DecodeAs(name, source, "");
}

absl::StatusOr<DecodedText> DecodedText::DecodeAs(absl::string_view name,
                                                  absl::string_view source,
                                                  std::string charset) {
  DecodedText result;
  charset = absl::AsciiStrToLower(charset);
  size_t skip = 0;
  if (const Bom* bom = FindBom(source); bom != nullptr) {
    charset = bom->charset;
    skip = bom->bytes.size();
  }
  const bool detect = charset.empty();
  if (detect) {
    if (CheckText(name, source).ok()) {
      charset = "utf-8";
    } else {
      absl::StatusOr<std::string> detected = DetectCharset(name, source);
      if (!detected.ok()) return detected.status();
      charset = *std::move(detected);
    }
  }
  if (charset == "utf-8" || charset == "utf8") {
    if (absl::Status status = CheckText(name, source); !status.ok()) {
      return status;
    }
    result.borrowed_ = source.substr(skip);
    result.base_ = skip;
    return result;
  }
  // What pages call Latin-1 or ASCII is Windows-1252: the web's own rule.
  if (charset == "iso-8859-1" || charset == "latin1" || charset == "us-ascii" ||
      charset == "ascii") {
    charset = "windows-1252";
  }
  absl::Status status = result.Convert(name, source, skip, charset);
  if (!status.ok()) return status;
  if (detect && LooksBinary(result.converted_)) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": binary data, not text in any encoding that is known"));
  }
  return result;
}

absl::Status DecodedText::Convert(absl::string_view name,
                                  absl::string_view source, size_t skip,
                                  const std::string& charset) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UConverter, ConverterCloser> converter(
      ucnv_open(charset.c_str(), &error));
  if (U_FAILURE(error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": charset \"", charset, "\" is not known"));
  }
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr,
                      nullptr, nullptr, &error);
  const char* in = source.data() + skip;
  const char* const in_end = source.data() + source.size();
  constexpr int kUnits = 4096;
  UChar units[kUnits];
  int32_t unit_offsets[kUnits];
  UChar high = 0;  // first half of a pair that the last round ended in
  uint32_t high_offset = 0;
  do {
    const uint64_t round_base = in - source.data();
    UChar* out = units;
    error = U_ZERO_ERROR;
    ucnv_toUnicode(converter.get(), &out, units + kUnits, &in, in_end,
                   unit_offsets, /*flush=*/true, &error);
    const int count = static_cast<int>(out - units);
    for (int i = 0; i < count; ++i) {
      UChar32 c = units[i];
      // Offset -1: the bytes came in an earlier round.
      uint32_t at = static_cast<uint32_t>(
          round_base + std::max<int32_t>(unit_offsets[i], 0));
      if (high != 0) {
        c = U16_IS_TRAIL(c) ? U16_GET_SUPPLEMENTARY(high, c) : 0xFFFD;
        at = high_offset;
        high = 0;
      } else if (U16_IS_LEAD(c)) {
        high = units[i];
        high_offset = at;
        continue;
      }
      if (c == 0 || U_IS_SURROGATE(c)) {
        return absl::InvalidArgumentError(absl::StrCat(
            name, ": binary data, not text (at byte offset ", at, ")"));
      }
      char bytes[U8_MAX_LENGTH];
      int32_t length = 0;
      U8_APPEND_UNSAFE(bytes, length, c);
      converted_.append(bytes, length);
      offsets_.insert(offsets_.end(), length, at);
    }
    if (U_FAILURE(error) && error != U_BUFFER_OVERFLOW_ERROR) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": not ", charset, " (invalid byte near offset ",
                       in - source.data() - (in > source.data() ? 1 : 0), ")"));
    }
  } while (error == U_BUFFER_OVERFLOW_ERROR);
  offsets_.push_back(static_cast<uint32_t>(source.size()));
  return absl::OkStatus();
}

std::vector<SourceRun> DecodedText::SourceMap() const {
  SourceMapBuilder map;
  if (offsets_.empty()) {
    map.Add({0, borrowed_.size()}, {base_, base_ + borrowed_.size()});
    return map.Take();
  }
  // Characters that have as many bytes on both sides make runs that are one to
  // one; others make runs up to the next blank. The two are never mixed, nor
  // growing and shrinking ones: a run of equal sizes would pass for one to one.
  size_t begin = 0;
  int begin_sign = 0;
  size_t at = 0;
  while (at < converted_.size()) {
    size_t next = at + 1;
    while (!IsCharBoundary(converted_, next)) ++next;
    const auto text_bytes = static_cast<int64_t>(next - at);
    const int64_t source_bytes = int64_t{offsets_[next]} - offsets_[at];
    const int sign = (text_bytes > source_bytes) - (text_bytes < source_bytes);
    const bool after_blank =
        at > begin && absl::ascii_isspace(converted_[at - 1]);
    if (at > begin && (sign != begin_sign || after_blank)) {
      map.Add({begin, at}, {offsets_[begin], offsets_[at]});
      begin = at;
    }
    begin_sign = sign;
    at = next;
  }
  if (begin < at) map.Add({begin, at}, {offsets_[begin], offsets_[at]});
  return map.Take();
}

}  // namespace braid::retrieval
