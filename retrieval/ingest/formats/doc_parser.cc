#include "retrieval/ingest/formats/doc_parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/code_page.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/ole_file.h"
#include "retrieval/ingest/formats/table_text.h"

namespace braid::retrieval {
namespace {

// Places in the File Information Block (MS-DOC 2.5).
constexpr size_t kFibVersion = 2;
constexpr size_t kFibFlags = 10;
constexpr size_t kFibTextLengths = 0x4C;  // of main text, notes, headers ...
constexpr size_t kFibClx = 0x01A2;        // place and size of the piece table
constexpr uint16_t kMagic = 0xA5EC;
constexpr uint16_t kWord97 = 0x00C1;
constexpr uint16_t kEncrypted = 0x0100;
constexpr uint16_t kTable1 = 0x0200;

// The parts of the text in their order, as their lengths stand in the FIB.
enum TextPart {
  kMain,
  kFootnotes,
  kHeaders,
  kMacros,
  kComments,
  kEndnotes,
  kTextBoxes,
  kHeaderTextBoxes,
  kTextParts
};

// Text pieces: runs of characters, in 1252 or UTF-16.
struct Piece {
  uint64_t characters = 0;
  uint64_t begin = 0;  // in the stream
  bool compressed = false;
};

class DocReader {
 public:
  DocReader(absl::string_view name, absl::string_view source)
      : name_(name), builder_(name, source) {}

  absl::StatusOr<ParsedDocument> Read(const OleFile& file) {
    absl::StatusOr<std::string> document = file.Read("WordDocument");
    if (!document.ok()) return document.status();
    document_ = *std::move(document);
    if (ReadU16(document_, 0) != kMagic) return Damaged("no header");
    if (ReadU16(document_, kFibVersion) < kWord97) {
      return absl::UnimplementedError(absl::StrCat(
          name_, ": documents of Word before version 97 are not read"));
    }
    const uint16_t flags = ReadU16(document_, kFibFlags);
    if ((flags & kEncrypted) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": is encrypted: it needs a password"));
    }
    absl::StatusOr<std::string> table =
        file.Read((flags & kTable1) != 0 ? "1Table" : "0Table");
    if (!table.ok()) return table.status();
    if (absl::Status status = ReadPieces(*table); !status.ok()) return status;
    AddText();
    return builder_.Finish();
  }

 private:
  absl::Status Damaged(absl::string_view why) const {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": a damaged Word document: ", why));
  }

  // The piece table is the last part of the Clx, behind property lists.
  absl::Status ReadPieces(absl::string_view table) {
    const uint64_t begin = ReadU32(document_, kFibClx);
    const uint64_t size = ReadU32(document_, kFibClx + 4);
    if (begin > table.size() || size > table.size() - begin) {
      return Damaged("its piece table lies outside");
    }
    absl::string_view clx = table.substr(begin, size);
    while (!clx.empty() && clx[0] == 1) {
      const size_t skip = 3 + size_t{ReadU16(clx, 1)};
      clx.remove_prefix(std::min(skip, clx.size()));
    }
    if (clx.size() < 5 || clx[0] != 2) return Damaged("it has no piece table");
    clx = clx.substr(5, ReadU32(clx, 1));
    constexpr size_t kPieceBytes = 12;  // a position and a descriptor
    if (clx.size() < 4) return Damaged("its piece table is empty");
    const size_t count = (clx.size() - 4) / kPieceBytes;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t first = ReadU32(clx, 4 * i);
      const uint32_t last = ReadU32(clx, 4 * (i + 1));
      const uint32_t place = ReadU32(clx, 4 * (count + 1) + 8 * i + 2);
      if (last < first) return Damaged("its pieces are out of order");
      Piece piece;
      piece.characters = last - first;
      piece.compressed = (place & 0x40000000) != 0;
      piece.begin = place & 0x3FFFFFFF;
      if (piece.compressed) piece.begin /= 2;
      pieces_.push_back(piece);
    }
    return absl::OkStatus();
  }

  void AddText() {
    uint64_t ends[kTextParts];
    uint64_t end = 0;
    for (int part = 0; part < kTextParts; ++part) {
      end += ReadU32(document_, kFibTextLengths + 4 * part);
      ends[part] = end;
    }
    uint64_t at = 0;
    int part = kMain;
    // No more characters than the stream has bytes, whatever the pieces say.
    uint64_t budget = document_.size();
    for (const Piece& piece : pieces_) {
      const uint64_t width = piece.compressed ? 1 : 2;
      for (uint64_t i = 0; i < piece.characters; ++i, ++at) {
        const uint64_t place = piece.begin + i * width;
        if (place + width > document_.size() || budget-- == 0 ||
            !builder_.status().ok()) {
          Finish();
          return;
        }
        while (part < kTextParts && at >= ends[part]) {
          Finish();
          ++part;
        }
        if (part == kTextParts) return;
        if (part == kHeaders || part == kMacros || part == kHeaderTextBoxes) {
          continue;
        }
        if (piece.compressed) {
          Character(static_cast<unsigned char>(document_[place]), true);
        } else {
          Character(ReadU16(document_, place), false);
        }
      }
    }
    Finish();
  }

  void Character(uint32_t c, bool compressed) {
    switch (c) {
      case 0x13:  // field: its code up to 0x14, its result up to 0x15
        fields_.push_back(true);
        ++field_codes_;
        return;
      case 0x14:
        if (!fields_.empty() && fields_.back()) {
          fields_.back() = false;
          --field_codes_;
        }
        return;
      case 0x15:
        if (fields_.empty()) return;
        if (fields_.back()) --field_codes_;
        fields_.pop_back();
        return;
    }
    if (field_codes_ > 0) return;
    switch (c) {
      case 0x0D:
      case 0x0C:
        EndParagraph();
        return;
      case 0x07:
        EndCell();
        return;
      case 0x0B:
        paragraph_ += '\n';
        return;
      case 0x1E:
        paragraph_ += '-';
        return;
      case 0xA0:
        paragraph_ += ' ';
        return;
    }
    // Pictures, anchors, soft hyphens and the like.
    if (c < 0x20 && c != '\t') return;
    after_cell_ = false;
    if (compressed) {
      paragraph_ += FromCodePage(1252, std::string(1, static_cast<char>(c)));
    } else if (c >= 0xD800 && c < 0xDC00) {
      high_surrogate_ = c;
    } else if (c >= 0xDC00 && c < 0xE000 && high_surrogate_ != 0) {
      AppendUtf8(0x10000 + ((high_surrogate_ - 0xD800) << 10) + (c - 0xDC00),
                 &paragraph_);
      high_surrogate_ = 0;
    } else {
      AppendUtf8(c, &paragraph_);
    }
  }

  // Cells end with a mark, and rows with one more.
  void EndCell() {
    if (after_cell_ && paragraph_.empty()) {
      rows_.push_back(std::move(row_));
      row_.clear();
      after_cell_ = false;
      return;
    }
    row_.push_back(std::exchange(paragraph_, std::string()));
    after_cell_ = true;
  }

  // A paragraph is text of a cell if the cell's mark follows; that shows later,
  // so paragraphs in cells become rows of their own text.
  void EndParagraph() {
    EndTable();
    builder_.Add(BlockKind::kParagraph, paragraph_);
    paragraph_.clear();
  }

  void EndTable() {
    if (!row_.empty()) rows_.push_back(std::exchange(row_, TableRow()));
    if (!rows_.empty()) {
      builder_.Add(BlockKind::kTable, TableText(rows_, HasHeaderRow(rows_)));
      rows_.clear();
    }
    after_cell_ = false;
  }

  void Finish() {
    EndParagraph();
    fields_.clear();
    field_codes_ = 0;
  }

  const absl::string_view name_;
  DocumentBuilder builder_;
  std::string document_;
  std::vector<Piece> pieces_;
  std::vector<bool> fields_;  // open ones; true within the code
  size_t field_codes_ = 0;    // of them within the code
  std::string paragraph_;
  TableRow row_;
  std::vector<TableRow> rows_;
  bool after_cell_ = false;
  uint32_t high_surrogate_ = 0;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseDoc(absl::string_view name,
                                        absl::string_view source) {
  absl::StatusOr<OleFile> file = OleFile::Open(name, source);
  if (!file.ok()) return file.status();
  return DocReader(name, source).Read(*file);
}

}  // namespace braid::retrieval
