#include "retrieval/ingest/formats/office_text.h"

#include <utility>

#include "absl/strings/ascii.h"

namespace braid::retrieval {
namespace {

// Wider than any sheet; what a file says beyond it is a lie.
constexpr size_t kMaxColumns = 1000;

}  // namespace

void OfficeText::BeginParagraph() {
  Paragraph paragraph;
  paragraph.tables = tables_.size();
  paragraphs_.push_back(std::move(paragraph));
}

void OfficeText::SetHeading(int level) {
  if (in_paragraph()) paragraphs_.back().heading = level;
}

void OfficeText::SetListItem() {
  if (in_paragraph()) paragraphs_.back().list_item = true;
}

void OfficeText::Text(absl::string_view text) {
  if (in_paragraph()) paragraphs_.back().text.append(text.data(), text.size());
}

void OfficeText::EndParagraph() {
  if (!in_paragraph()) return;
  const Paragraph paragraph = std::move(paragraphs_.back());
  paragraphs_.pop_back();
  if (in_table() && tables_.back().in_cell) {
    AddToCell(paragraph.text);
  } else if (paragraph.heading > 0) {
    builder_->AddHeading(paragraph.heading, paragraph.text);
  } else {
    builder_->Add(
        paragraph.list_item ? BlockKind::kListItem : BlockKind::kParagraph,
        paragraph.text);
  }
  if (!in_table() && !in_paragraph()) AddNotes();
}

void OfficeText::BeginTable() {
  Table table;
  tables_.push_back(std::move(table));
}

void OfficeText::BeginRow() {
  if (in_table()) tables_.back().rows.emplace_back();
}

void OfficeText::SetHeaderRow() {
  if (in_table() && tables_.back().rows.size() == 1) {
    tables_.back().has_header = true;
  }
}

void OfficeText::BeginCell() {
  if (!in_table()) return;
  Table& table = tables_.back();
  table.in_cell = true;
  table.cell.clear();
  table.cell_columns = 1;
}

void OfficeText::SetCellColumns(int columns) {
  if (in_table()) tables_.back().cell_columns = columns;
}

void OfficeText::EndCell() {
  if (!in_table() || !tables_.back().in_cell) return;
  Table& table = tables_.back();
  table.in_cell = false;
  if (table.rows.empty()) table.rows.emplace_back();
  TableRow& row = table.rows.back();
  row.push_back(std::move(table.cell));
  table.cell.clear();
  for (int i = 1; i < table.cell_columns && row.size() < kMaxColumns; ++i) {
    row.emplace_back();
  }
}

void OfficeText::EndRow() { EndCell(); }

void OfficeText::EndTable() {
  if (!in_table()) return;
  EndCell();
  const Table table = std::move(tables_.back());
  tables_.pop_back();
  const std::string text =
      TableText(table.rows, table.has_header || HasHeaderRow(table.rows));
  if (in_table() && tables_.back().in_cell) {
    AddToCell(text);
  } else {
    builder_->Add(BlockKind::kTable, text);
  }
  if (!in_table() && !in_paragraph()) AddNotes();
}

void OfficeText::Note(absl::string_view text) {
  if (!absl::StripAsciiWhitespace(text).empty()) {
    notes_.push_back(std::string(text));
  }
  if (!in_table() && !in_paragraph()) AddNotes();
}

void OfficeText::Finish() {
  while (in_paragraph() || in_table()) {
    // The innermost first.
    if (in_paragraph() && paragraphs_.back().tables == tables_.size()) {
      EndParagraph();
    } else if (in_table()) {
      EndTable();
    } else {
      EndParagraph();
    }
  }
  AddNotes();
}

void OfficeText::AddToCell(absl::string_view text) {
  std::string& cell = tables_.back().cell;
  if (text.empty()) return;
  if (!cell.empty()) cell += ' ';
  cell.append(text.data(), text.size());
}

void OfficeText::AddNotes() {
  for (const std::string& note : notes_) {
    builder_->Add(BlockKind::kParagraph, note);
  }
  notes_.clear();
}

}  // namespace braid::retrieval
