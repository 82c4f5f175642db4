// Rich Text Format (1.9).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_RTF_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_RTF_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Paragraphs, headings (by outline level), tables and footnotes, in the code
// pages of the file and of its fonts or in Unicode. Fills title and metadata
// author, subject, keywords. RESOURCE_EXHAUSTED where groups nest deeper than
// 1,000 levels; braces that do not match are read as well as they can be.
absl::StatusOr<ParsedDocument> ParseRtf(absl::string_view name,
                                        absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_RTF_PARSER_H_
