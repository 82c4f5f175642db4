// Brings text in any encoding to UTF-8 and remembers where each byte was.
#ifndef BRAID_RETRIEVAL_INGEST_CHARSET_H_
#define BRAID_RETRIEVAL_INGEST_CHARSET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/source_map.h"

namespace braid::retrieval {

// A source as UTF-8. Where it was UTF-8 already nothing is copied: `text` is a
// part of the source, which must outlive this.
class DecodedText {
 public:
  // By byte order mark, then by the <meta charset> or XML declaration in the
  // first 1,024 bytes, then as Decode. INVALID_ARGUMENT starting with `name`
  // for a charset that is not known or bytes that it does not allow (with
  // offset).
  static absl::StatusOr<DecodedText> DecodeHtml(absl::string_view name,
                                                absl::string_view source);
  // By byte order mark (UTF-8, UTF-16, UTF-32); UTF-8 if it is that; else what
  // ICU detects. INVALID_ARGUMENT starting with `name` for what is no text: NUL
  // bytes, too many control characters, UTF-8 that breaks off somewhere, an
  // encoding that nothing speaks for.
  static absl::StatusOr<DecodedText> Decode(absl::string_view name,
                                            absl::string_view source);
  // In the encoding that somebody declared, such as the charset of a mail;
  // as Decode if `charset` is empty.
  static absl::StatusOr<DecodedText> DecodeAs(absl::string_view name,
                                              absl::string_view source,
                                              std::string charset);

  absl::string_view text() const {
    return converted_.empty() ? borrowed_ : absl::string_view(converted_);
  }
  // Whether text() is the source but for a byte order mark.
  bool is_source() const { return offsets_.empty(); }
  // Offset in the source of byte `offset` of text(); `offset` may be its end.
  uint64_t SourceOffset(uint64_t offset) const {
    return offsets_.empty() ? base_ + offset : offsets_[offset];
  }
  // From text() to the source, by characters and words.
  std::vector<SourceRun> SourceMap() const;

 private:
  absl::Status Convert(absl::string_view name, absl::string_view source,
                       size_t skip, const std::string& charset);

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
