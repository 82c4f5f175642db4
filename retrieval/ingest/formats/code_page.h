// Text in the code pages of Windows.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_CODE_PAGE_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_CODE_PAGE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace braid::retrieval {

// To UTF-8; bytes that the code page does not have become U+FFFD. A code page
// that is not known is taken for 1252.
std::string FromCodePage(int code_page, absl::string_view bytes);

// The code page of a font's \fcharset in RTF; 0 if it has none of its own.
int CodePageOfCharset(int charset);

// Appends a character; U+FFFD for what is none.
void AppendUtf8(uint32_t character, std::string* text);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_CODE_PAGE_H_
