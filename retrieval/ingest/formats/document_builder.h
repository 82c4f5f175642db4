// Builds a document block by block, for formats whose text has to be put
// together.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_DOCUMENT_BUILDER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_DOCUMENT_BUILDER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Text that may be stored: what is no UTF-8 becomes U+FFFD; control characters
// but for tab and line feed go; CR LF and CR become LF; blanks at both ends and
// before line ends go.
std::string CleanText(absl::string_view text);

// Words with one blank between them, whatever stood there.
std::string OnOneLine(absl::string_view text);

class DocumentBuilder {
 public:
  // `name` is what errors begin with; both must outlive the builder.
  DocumentBuilder(absl::string_view name, absl::string_view source)
      : name_(name), source_bytes_(source.size()) {}

  // Adds a block, cleaned; one without text is left out. Blocks stand apart by
  // an empty line, list items and table rows by a line end. `source` is where
  // it comes from; all of the source if that is not known. Where the two have
  // the same bytes, positions are exact to the byte.
  void Add(BlockKind kind, absl::string_view text,
           std::optional<ByteRange> source = std::nullopt);
  // A heading of level 1 to 6 (others are brought into that range).
  void AddHeading(int level, absl::string_view text,
                  std::optional<ByteRange> source = std::nullopt);
  // All blocks of another document, which comes from `source` (its own
  // positions mean nothing here).
  void AddDocument(const ParsedDocument& document,
                   std::optional<ByteRange> source = std::nullopt);

  // The page of the blocks that follow; from 1.
  void set_page(uint32_t page) { page_ = page; }
  // Keeps the first that is not blank.
  void SetTitle(absl::string_view title);
  bool has_title() const { return !document_.title.empty(); }
  // An entry of metadata; blank ones are left out.
  void SetMetadata(const std::string& key, absl::string_view value);
  void SetMetadata(const std::string& key, double value);

  bool empty() const { return document_.blocks.empty(); }
  // RESOURCE_EXHAUSTED once the text is over OutputLimit of the source: ask now
  // and then, the blocks that go over it are dropped.
  const absl::Status& status() const { return status_; }
  // The document, without a title if none was set; or status().
  absl::StatusOr<ParsedDocument> Finish();

 private:
  const absl::string_view name_;
  const size_t source_bytes_;
  uint32_t page_ = 0;
  absl::Status status_;
  ParsedDocument document_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_DOCUMENT_BUILDER_H_
