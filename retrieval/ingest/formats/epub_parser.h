// Books in EPUB (2 and 3).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_EPUB_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_EPUB_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// The chapters in the order of the spine, each as ParseHtml reads it; the
// book's table of contents is left out. Fills title and metadata author,
// subject. A chapter that cannot be read fails the book; books with digital
// rights management are INVALID_ARGUMENT and said to be encrypted.
absl::StatusOr<ParsedDocument> ParseEpub(absl::string_view name,
                                         absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_EPUB_PARSER_H_
