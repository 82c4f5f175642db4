// Tables as lines of text in which every cell keeps its header.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_TABLE_TEXT_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_TABLE_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace braid::retrieval {

using TableRow = std::vector<std::string>;

// Whether a table's first row names its columns: at least two, all named, all
// different, none a number, and there are rows below it. The first column may
// go without a name, or with a number: row labels often do.
bool HasHeaderRow(const std::vector<TableRow>& rows);

// The row with each cell on one line, without blanks around it.
TableRow CleanRow(const TableRow& row);

// "name: value | name: value"; cells without text are left out, line breaks in
// cells become blanks. Without a header, or where it has no name for a cell,
// the value stands alone. `header` is a CleanRow.
std::string TableLine(const TableRow& header, const TableRow& row);

// All rows, one line each; the header row too, once. What is long is text and
// names no column, whatever `has_header` says.
std::string TableText(const std::vector<TableRow>& rows, bool has_header);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_TABLE_TEXT_H_
