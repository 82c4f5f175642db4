// Turning what the Rust side hands out into C++ values, freeing it on the way.
#ifndef BRAID_GENERATION_TEXT_FFI_RESULT_H_
#define BRAID_GENERATION_TEXT_FFI_RESULT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "generation/text/ffi/text_ffi.h"

namespace braid::model {

inline const uint8_t* FfiBytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

inline std::string TakeFfiBuffer(BraidTextBuffer buffer) {
  std::string text(reinterpret_cast<const char*>(buffer.data), buffer.len);
  braid_text_buffer_free(buffer);
  return text;
}

// `code` is not 0: 1 is the input's fault, anything else ours.
inline absl::Status FfiError(int code, BraidTextBuffer error,
                             absl::string_view what) {
  const std::string message = absl::StrCat(what, ": ", TakeFfiBuffer(error));
  return code == 1 ? absl::InvalidArgumentError(message)
                   : absl::InternalError(message);
}

}  // namespace braid::model

#endif  // BRAID_GENERATION_TEXT_FFI_RESULT_H_
