#include "retrieval/ingest/charset.h"

#include <unicode/ucnv.h>
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

absl::StatusOr<DecodedHtml> DecodedHtml::Decode(absl::string_view name,
                                                absl::string_view source) {
  std::string charset;
  uint64_t skip = 0;
  if (absl::StartsWith(source, kUtf8Bom)) {
    skip = kUtf8Bom.size();
    charset = "utf-8";
  } else if (absl::StartsWith(source, "\xFF\xFE")) {
    skip = 2;
    charset = "utf-16le";
  } else if (absl::StartsWith(source, "\xFE\xFF")) {
    skip = 2;
    charset = "utf-16be";
  } else {
    charset = DeclaredCharset(source);
    // Readable as ASCII up to here, so it cannot be UTF-16 (as browsers do).
    if (charset.empty() || absl::StartsWith(charset, "utf-16")) {
      charset = "utf-8";
    }
  }
  DecodedHtml result;
  result.borrowed_ = source.substr(skip);
  result.base_ = skip;
  if (charset == "utf-8" || charset == "utf8") {
    if (absl::Status status = CheckText(name, source); !status.ok()) {
      return status;
    }
    return result;
  }
  // What pages call Latin-1 or ASCII is Windows-1252: the web's own rule.
  if (charset == "iso-8859-1" || charset == "latin1" || charset == "us-ascii" ||
      charset == "ascii") {
    charset = "windows-1252";
  }

  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UConverter, ConverterCloser> converter(
      ucnv_open(charset.c_str(), &error));
  if (U_FAILURE(error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": charset \"", charset, "\" is not known"));
  }
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr,
                      nullptr, nullptr, &error);
  result.borrowed_ = {};
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
      result.converted_.append(bytes, length);
      result.offsets_.insert(result.offsets_.end(), length, at);
    }
    if (U_FAILURE(error) && error != U_BUFFER_OVERFLOW_ERROR) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": not ", charset, " (invalid byte near offset ",
                       in - source.data() - (in > source.data() ? 1 : 0), ")"));
    }
  } while (error == U_BUFFER_OVERFLOW_ERROR);
  result.offsets_.push_back(static_cast<uint32_t>(source.size()));
  return result;
}

}  // namespace braid::retrieval
