// Word 97 to 2003 (.doc, MS-DOC).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_DOC_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_DOC_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Paragraphs and tables of the text, then footnotes, comments, endnotes and
// text boxes; page headers, footers and field codes are left out, and styles
// are not read, so there are no headings. Encrypted documents are
// INVALID_ARGUMENT and said to be; versions before Word 97 UNIMPLEMENTED.
absl::StatusOr<ParsedDocument> ParseDoc(absl::string_view name,
                                        absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_DOC_PARSER_H_
