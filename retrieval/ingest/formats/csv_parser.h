// Comma- and tab-separated values (RFC 4180).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_CSV_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_CSV_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// One block per record, every cell with its column's name where the first
// record gives names (table_text.h), and with the record's bytes as its source.
// The separator is the one of comma, semicolon, tab and bar that the first
// record has most of. Quotes that are never closed end with their line.
// `source` is UTF-8.
absl::StatusOr<ParsedDocument> ParseCsv(absl::string_view name,
                                        absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_CSV_PARSER_H_
