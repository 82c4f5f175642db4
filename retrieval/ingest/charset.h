// Brings HTML in any charset to UTF-8 and remembers where each byte was.
#ifndef BRAID_RETRIEVAL_INGEST_CHARSET_H_
#define BRAID_RETRIEVAL_INGEST_CHARSET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::retrieval {

// A source as UTF-8. Where it was UTF-8 already nothing is copied: `text` is a
// part of the source, which must outlive this.
class DecodedHtml {
 public:
  // By byte order mark, then by the <meta charset> or XML declaration in the
  // first 1,024 bytes, then UTF-8. INVALID_ARGUMENT starting with `name` for a
  // charset that is not known or bytes that it does not allow (with offset).
  static absl::StatusOr<DecodedHtml> Decode(absl::string_view name,
                                            absl::string_view source);

  absl::string_view text() const {
    return converted_.empty() ? borrowed_ : absl::string_view(converted_);
  }
  // Offset in the source of byte `offset` of text(); `offset` may be its end.
  uint64_t SourceOffset(uint64_t offset) const {
    return offsets_.empty() ? base_ + offset : offsets_[offset];
  }

 private:
  absl::string_view borrowed_;
  uint64_t base_ = 0;  // of borrowed_, behind a byte order mark
  std::string converted_;
  std::vector<uint32_t> offsets_;  // converted_.size() + 1 of them
};

// The charset that HTML declares in its first 1,024 bytes, in lower case;
// empty if it declares none.
std::string DeclaredCharset(absl::string_view html);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_CHARSET_H_
