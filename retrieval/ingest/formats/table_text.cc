#include "retrieval/ingest/formats/table_text.h"

#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/document_builder.h"

namespace braid::retrieval {
namespace {

// Longer cells are text, not names.
constexpr size_t kMaxNameBytes = 100;

}  // namespace

bool HasHeaderRow(const std::vector<TableRow>& rows) {
  if (rows.size() < 2 || rows[0].size() < 2) return false;
  std::set<std::string> names;
  for (size_t i = 0; i < rows[0].size(); ++i) {
    const std::string name = OnOneLine(rows[0][i]);
    double number;
    const bool is_name = !name.empty() && !absl::SimpleAtod(name, &number);
    if (!is_name && i == 0 && rows[0].size() > 2) continue;
    if (!is_name || name.size() > kMaxNameBytes || !names.insert(name).second) {
      return false;
    }
  }
  return true;
}

TableRow CleanRow(const TableRow& row) {
  TableRow clean;
  for (const std::string& cell : row) clean.push_back(OnOneLine(cell));
  return clean;
}

std::string TableLine(const TableRow& header, const TableRow& row) {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string value = OnOneLine(row[i]);
    if (value.empty()) continue;
    if (!line.empty()) line += " | ";
    if (i < header.size() && !header[i].empty()) {
      absl::StrAppend(&line, header[i], ": ");
    }
    line += value;
  }
  return line;
}

std::string TableText(const std::vector<TableRow>& rows, bool has_header) {
  TableRow header;
  if (has_header && !rows.empty()) {
    header = CleanRow(rows[0]);
    for (std::string& name : header) {
      if (name.size() > kMaxNameBytes) name.clear();
    }
  }
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string line = TableLine(i > 0 ? header : TableRow(), rows[i]);
    if (line.empty()) continue;
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

}  // namespace braid::retrieval
