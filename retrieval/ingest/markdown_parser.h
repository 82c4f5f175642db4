// Markdown (CommonMark with tables, footnotes, task lists, front matter).
#ifndef BRAID_RETRIEVAL_INGEST_MARKDOWN_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_MARKDOWN_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Fills title (front matter, else the first heading), text (the source),
// metadata (front matter) and blocks. Errors start with `name`:
// RESOURCE_EXHAUSTED for a line that nests too many quotes or lists.
absl::StatusOr<ParsedDocument> ParseMarkdown(absl::string_view name,
                                             absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_MARKDOWN_PARSER_H_
