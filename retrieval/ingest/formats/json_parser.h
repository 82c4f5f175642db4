// JSON and JSON lines as readable lines of path and value.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_JSON_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_JSON_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

inline constexpr size_t kMaxJsonDepth = 500;

// A line "a.b[2].c: value" for every value but null, and a block with its bytes
// as source for every member or element of the outermost object or array. A
// member "title" of the outermost object is the title. `source` is UTF-8.
// INVALID_ARGUMENT (with line and column) for what is no JSON,
// RESOURCE_EXHAUSTED where it nests deeper than kMaxJsonDepth; never recurses.
absl::StatusOr<ParsedDocument> ParseJson(absl::string_view name,
                                         absl::string_view source);

// The same for one value per line: a block for each.
absl::StatusOr<ParsedDocument> ParseJsonLines(absl::string_view name,
                                              absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_JSON_PARSER_H_
