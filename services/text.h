// Hygiene of text that clients send and that goes into logs and errors.
#ifndef BRAID_SERVICES_TEXT_H_
#define BRAID_SERVICES_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace braid::services {

// Bytes of the well-formed UTF-8 character that `text` begins with (overlong
// forms and surrogates are not well-formed); 0 if there is none.
size_t Utf8CharacterLength(absl::string_view text);

bool IsUtf8(absl::string_view text);

// True if `text` holds a C0 or C1 control character or DEL.
bool HasControlCharacters(absl::string_view text);

// `text` as one printable line of well-formed UTF-8, at most `max_bytes` long.
std::string ToPrintable(absl::string_view text, size_t max_bytes);

}  // namespace braid::services

#endif  // BRAID_SERVICES_TEXT_H_
