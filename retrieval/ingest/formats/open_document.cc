#include "retrieval/ingest/formats/open_document.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

constexpr int kMaxSpaces = 1000;

int ToInt(absl::string_view text, int otherwise) {
  int value = 0;
  return absl::SimpleAtoi(text, &value) ? value : otherwise;
}

bool IsSkipped(absl::string_view name) {
  return name == "tracked-changes" || name == "table-of-content" ||
         name == "automatic-styles" || name == "scripts" ||
         // Of an annotation.
         name == "date" || name == "creator-initials" ||
         name == "sender-initials";
}

}  // namespace

void OpenDocumentHandler::Start(const XmlElement& element) {
  const absl::string_view name = element.name();
  if (skipped_ > 0 || IsSkipped(name)) {
    ++skipped_;
    return;
  }
  if (name == "note" || name == "annotation") ++note_depth_;
  if (note_depth_ > 0) {
    StartInNote(name);
  } else if (name == "h" || name == "p") {
    text_->BeginParagraph();
    if (name == "h") {
      text_->SetHeading(ToInt(element.attribute("outline-level"), 1));
    } else if (list_depth_ > 0) {
      text_->SetListItem();
    }
  } else if (name == "list") {
    ++list_depth_;
  } else if (name == "s") {
    text_->Text(std::string(
        std::clamp(ToInt(element.attribute("c"), 1), 1, kMaxSpaces), ' '));
  } else if (name == "tab") {
    text_->Text("\t");
  } else if (name == "line-break") {
    text_->Text("\n");
  } else {
    StartTablePart(element);
  }
}

void OpenDocumentHandler::StartTablePart(const XmlElement& element) {
  const absl::string_view name = element.name();
  if (name == "table") {
    text_->BeginTable();
    // How presentations mark it.
    in_header_ = element.attribute("use-first-row-styles") == "true";
  } else if (name == "table-header-rows") {
    in_header_ = true;
  } else if (name == "table-row") {
    text_->BeginRow();
    if (in_header_) text_->SetHeaderRow();
  } else if (name == "table-cell" || name == "covered-table-cell") {
    text_->BeginCell();
    text_->SetCellColumns(
        ToInt(element.attribute("number-columns-repeated"), 1));
  }
}

void OpenDocumentHandler::End(absl::string_view name) {
  if (skipped_ > 0) {
    --skipped_;
  } else if (note_depth_ > 0) {
    if (name == "p") note_ += '\n';
    if (name == "note-citation" || name == "creator") {
      note_ += ": ";
      note_begin_ = note_.size();
    }
    if ((name == "note" || name == "annotation") && --note_depth_ == 0) {
      EndNote();
    }
  } else if (name == "h" || name == "p") {
    text_->EndParagraph();
  } else if (name == "list") {
    --list_depth_;
  } else if (name == "table-header-rows") {
    in_header_ = false;
  } else if (name == "table-cell" || name == "covered-table-cell") {
    text_->EndCell();
  } else if (name == "table-row") {
    text_->EndRow();
  } else if (name == "table") {
    text_->EndTable();
  }
}

void OpenDocumentHandler::Text(absl::string_view text) {
  if (skipped_ > 0) return;
  if (note_depth_ > 0) {
    absl::StrAppend(&note_, text);
  } else {
    text_->Text(text);
  }
}

void OpenDocumentHandler::StartInNote(absl::string_view name) {
  if (name == "s" || name == "tab") note_ += ' ';
  if (name == "line-break") note_ += '\n';
}

void OpenDocumentHandler::EndNote() {
  const absl::string_view words = absl::string_view(note_).substr(note_begin_);
  if (!absl::StripAsciiWhitespace(words).empty()) text_->Note(note_);
  note_.clear();
  note_begin_ = 0;
}

absl::Status ReadOpenDocument(absl::string_view name, ZipArchive* archive,
                              XmlHandler* handler) {
  const std::string manifest_part = "META-INF/manifest.xml";
  if (archive->Has(manifest_part)) {
    absl::StatusOr<std::string> manifest = archive->Read(manifest_part);
    if (!manifest.ok()) return manifest.status();
    if (absl::StrContains(*manifest, "encryption-data")) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": is encrypted: it needs a password"));
    }
  }
  return ReadXmlPart(name, archive, "content.xml", handler);
}

}  // namespace braid::retrieval
