// The flow of a word processor's document: paragraphs, tables, notes.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_OFFICE_TEXT_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_OFFICE_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/table_text.h"

namespace braid::retrieval {

// Turns begins and ends into blocks. Whatever is nested keeps its text: a text
// box's paragraphs come before the one it is anchored in, a table in a cell is
// text of that cell, notes follow the paragraph or table that refers to them.
// Unmatched ends are ignored.
class OfficeText {
 public:
  // `builder` must outlive this.
  explicit OfficeText(DocumentBuilder* builder) : builder_(builder) {}

  void BeginParagraph();
  // Of the paragraph that is open. A level of 0 is none.
  void SetHeading(int level);
  void SetListItem();
  void Text(absl::string_view text);
  void EndParagraph();

  void BeginTable();
  void BeginRow();
  // The open row names the columns.
  void SetHeaderRow();
  void BeginCell();
  // The open cell is `columns` wide.
  void SetCellColumns(int columns);
  void EndCell();
  void EndRow();
  void EndTable();

  // A note to follow what is open now.
  void Note(absl::string_view text);

  // Ends whatever is open.
  void Finish();

  bool in_paragraph() const { return !paragraphs_.empty(); }
  bool in_table() const { return !tables_.empty(); }

 private:
  struct Paragraph {
    std::string text;
    int heading = 0;
    bool list_item = false;
    size_t tables = 0;  // open around it
  };
  struct Table {
    std::vector<TableRow> rows;
    bool has_header = false;
    bool in_cell = false;
    int cell_columns = 1;
    std::string cell;
  };

  // Adds text to the innermost open cell.
  void AddToCell(absl::string_view text);
  void AddNotes();

  DocumentBuilder* const builder_;
  std::vector<Paragraph> paragraphs_;
  std::vector<Table> tables_;
  std::vector<std::string> notes_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_OFFICE_TEXT_H_
