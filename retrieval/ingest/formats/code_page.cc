#include "retrieval/ingest/formats/code_page.h"

#include <unicode/ucnv.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

struct ConverterCloser {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};

}  // namespace

std::string FromCodePage(int code_page, absl::string_view bytes) {
  const bool ascii = std::all_of(bytes.begin(), bytes.end(),
                                 [](char c) { return (c & 0x80) == 0; });
  if (ascii) return std::string(bytes);
  UErrorCode error = U_ZERO_ERROR;
  const std::string name =
      code_page == 65001 ? "utf-8" : absl::StrCat("windows-", code_page);
  std::unique_ptr<UConverter, ConverterCloser> converter(
      ucnv_open(name.c_str(), &error));
  if (U_FAILURE(error)) {
    error = U_ZERO_ERROR;
    converter.reset(ucnv_open(absl::StrCat("ibm-", code_page).c_str(), &error));
  }
  if (U_FAILURE(error)) {
    error = U_ZERO_ERROR;
    converter.reset(ucnv_open("windows-1252", &error));
  }
  std::string text;
  icu::UnicodeString(bytes.data(), static_cast<int32_t>(bytes.size()),
                     converter.get(), error)
      .toUTF8String(text);
  return text;
}

int CodePageOfCharset(int charset) {
  switch (charset) {
    case 0:
      return 1252;
    case 77:
      return 10000;
    case 128:
      return 932;
    case 129:
      return 949;
    case 134:
      return 936;
    case 136:
      return 950;
    case 161:
      return 1253;
    case 162:
      return 1254;
    case 163:
      return 1258;
    case 177:
      return 1255;
    case 178:
      return 1256;
    case 186:
      return 1257;
    case 204:
      return 1251;
    case 222:
      return 874;
    case 238:
      return 1250;
    default:
      return 0;
  }
}

void AppendUtf8(uint32_t character, std::string* text) {
  if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) {
    character = 0xFFFD;
  }
  char bytes[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, character);
  text->append(bytes, length);
}

}  // namespace braid::retrieval
