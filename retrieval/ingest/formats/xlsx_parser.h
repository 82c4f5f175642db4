// Spreadsheets (.xlsx, ISO/IEC 29500).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_XLSX_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_XLSX_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Each sheet is a heading and a table, one line per row, every cell with its
// column's name where the first row gives names (table_text.h). Cells hold what
// was computed last; dates are written as ISO 8601.
absl::StatusOr<ParsedDocument> ParseXlsx(absl::string_view name,
                                         absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_XLSX_PARSER_H_
