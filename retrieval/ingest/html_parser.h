// HTML to readable text, blocks and a map back to the source.
#ifndef BRAID_RETRIEVAL_INGEST_HTML_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_HTML_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Fills title (from <title>, else the first heading), text, blocks and
// source_map. Scripts, styles, navigation, page headers and footers, forms'
// controls and hidden elements are left out. White space is collapsed but in
// <pre>; a table gives one line per row, cells joined by " | "; a definition
// and its term are one block. Errors start with `name`.
absl::StatusOr<ParsedDocument> ParseHtml(absl::string_view name,
                                         absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_HTML_PARSER_H_
