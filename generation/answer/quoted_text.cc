#include "generation/answer/quoted_text.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <cstdint>

namespace braid::generation {
namespace {

constexpr UChar32 kReplacement = 0xFFFD;

bool BreaksLine(UChar32 c) {
  return (c >= '\n' && c <= '\r') || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool IsJoiner(UChar32 c) { return c == 0x200C || c == 0x200D; }

// `text` without what nobody sees, and with `line_break` for each line break.
std::string Visible(absl::string_view text, absl::string_view line_break) {
  std::string out;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int32_t>(text.size());
  bool joinable = false;  // after a character that a joiner may follow
  for (int32_t at = 0; at < size;) {
    UChar32 c = -1;
    U8_NEXT(bytes, at, size, c);
    if (c < 0) c = kReplacement;
    if (BreaksLine(c)) {
      if (c == '\r' && at < size && bytes[at] == '\n') ++at;
      out.append(line_break.data(), line_break.size());
      joinable = false;
      continue;
    }
    if (IsJoiner(c)
            ? !joinable
            : (u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) ||
               (u_iscntrl(c) && c != '\t'))) {
      continue;
    }
    joinable = !IsJoiner(c);
    uint8_t encoded[U8_MAX_LENGTH];
    int32_t length = 0;
    U8_APPEND_UNSAFE(encoded, length, c);
    out.append(reinterpret_cast<const char*>(encoded),
               static_cast<size_t>(length));
  }
  return out;
}

}  // namespace

std::string QuotedForPrompt(absl::string_view text) {
  return "> " + Visible(text, "\n> ");
}

std::string LineForPrompt(absl::string_view text) { return Visible(text, " "); }

}  // namespace braid::generation
