// UTF-8 checks that every parser and the chunker share.
#ifndef BRAID_RETRIEVAL_INGEST_UTF8_H_
#define BRAID_RETRIEVAL_INGEST_UTF8_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace braid::retrieval {

inline constexpr absl::string_view kUtf8Bom = "\xEF\xBB\xBF";

// Offset of the first byte that is not part of well-formed UTF-8 (no overlong
// forms, no surrogates, nothing above U+10FFFF); npos if all is well.
size_t FindInvalidUtf8(absl::string_view text);

// OK if `text` is UTF-8 without NUL bytes; else INVALID_ARGUMENT that starts
// with `name` and tells the byte offset.
absl::Status CheckText(absl::string_view name, absl::string_view text);

// Whether a character begins at `offset` (or the text ends there).
bool IsCharBoundary(absl::string_view text, size_t offset);

// The last character boundary at or before `offset`.
size_t FloorCharBoundary(absl::string_view text, size_t offset);

// `text` cut to at most `bytes`, between characters.
absl::string_view TruncateUtf8(absl::string_view text, size_t bytes);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_UTF8_H_
