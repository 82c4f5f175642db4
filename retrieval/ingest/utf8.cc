#include "retrieval/ingest/utf8.h"

#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

bool IsContinuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Length of the well-formed character at `p`; 0 if there is none.
size_t CharLength(const unsigned char* p, size_t left) {
  const unsigned char lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return left >= 2 && IsContinuation(p[1]) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !IsContinuation(p[1]) || !IsContinuation(p[2])) return 0;
    if (lead == 0xE0 && p[1] < 0xA0) return 0;   // overlong
    if (lead == 0xED && p[1] >= 0xA0) return 0;  // surrogate
    return 3;
  }
  if (lead > 0xF4 || left < 4 || !IsContinuation(p[1]) ||
      !IsContinuation(p[2]) || !IsContinuation(p[3])) {
    return 0;
  }
  if (lead == 0xF0 && p[1] < 0x90) return 0;   // overlong
  if (lead == 0xF4 && p[1] >= 0x90) return 0;  // above U+10FFFF
  return 4;
}

}  // namespace

size_t FindInvalidUtf8(absl::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  size_t i = 0;
  while (i < text.size()) {
    // Eight ASCII bytes at a time.
    while (i + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, p + i, 8);
      if (word & 0x8080808080808080ull) break;
      i += 8;
    }
    if (i == text.size()) break;
    const size_t length = CharLength(p + i, text.size() - i);
    if (length == 0) return i;
    i += length;
  }
  return absl::string_view::npos;
}

absl::Status CheckText(absl::string_view name, absl::string_view text) {
  const size_t nul = text.find('\0');
  if (nul != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": binary data, not text (NUL byte at offset ", nul, ")"));
  }
  const size_t invalid = FindInvalidUtf8(text);
  if (invalid != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": not UTF-8 (invalid byte at offset ", invalid,
                     "); convert it to UTF-8 first"));
  }
  return absl::OkStatus();
}

bool IsCharBoundary(absl::string_view text, size_t offset) {
  return offset >= text.size() ||
         !IsContinuation(static_cast<unsigned char>(text[offset]));
}

size_t FloorCharBoundary(absl::string_view text, size_t offset) {
  if (offset >= text.size()) return text.size();
  while (offset > 0 && !IsCharBoundary(text, offset)) --offset;
  return offset;
}

absl::string_view TruncateUtf8(absl::string_view text, size_t bytes) {
  return text.substr(0, FloorCharBoundary(text, bytes));
}

}  // namespace braid::retrieval
