// Word documents (.docx, ISO/IEC 29500, common and strict).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_DOCX_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_DOCX_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Text in document order with headings (by style or outline level), list items,
// tables and text boxes; footnotes, endnotes and comments follow the paragraph
// or table that refers to them. Deleted text, field codes, page headers and
// footers are left out. Fills title and metadata author, subject, keywords.
absl::StatusOr<ParsedDocument> ParseDocx(absl::string_view name,
                                         absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_DOCX_PARSER_H_
