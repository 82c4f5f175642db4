#include "retrieval/ingest/formats/odt_parser.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/office_text.h"
#include "retrieval/ingest/formats/ooxml.h"
#include "retrieval/ingest/formats/xml_reader.h"

namespace braid::retrieval {
namespace {

constexpr int kMaxSpaces = 1000;

int ToInt(absl::string_view text, int otherwise) {
  int value = 0;
  return absl::SimpleAtoi(text, &value) ? value : otherwise;
}

class ContentHandler : public XmlHandler {
 public:
  explicit ContentHandler(DocumentBuilder* builder) : text_(builder) {}

  void Start(const XmlElement& element) override {
    const absl::string_view name = element.name();
    if (skipped_ > 0 || IsSkipped(name)) {
      ++skipped_;
      return;
    }
    if (name == "note" || name == "annotation") ++note_depth_;
    if (note_depth_ > 0) {
      StartInNote(name);
    } else if (name == "h" || name == "p") {
      text_.BeginParagraph();
      if (name == "h") {
        text_.SetHeading(ToInt(element.attribute("outline-level"), 1));
      } else if (list_depth_ > 0) {
        text_.SetListItem();
      }
    } else if (name == "list") {
      ++list_depth_;
    } else if (name == "s") {
      text_.Text(std::string(
          std::clamp(ToInt(element.attribute("c"), 1), 1, kMaxSpaces), ' '));
    } else if (name == "tab") {
      text_.Text("\t");
    } else if (name == "line-break") {
      text_.Text("\n");
    } else if (name == "table") {
      text_.BeginTable();
    } else if (name == "table-header-rows") {
      in_header_ = true;
    } else if (name == "table-row") {
      text_.BeginRow();
      if (in_header_) text_.SetHeaderRow();
    } else if (name == "table-cell" || name == "covered-table-cell") {
      text_.BeginCell();
      text_.SetCellColumns(
          ToInt(element.attribute("number-columns-repeated"), 1));
    }
  }

  void End(absl::string_view name) override {
    if (skipped_ > 0) {
      --skipped_;
    } else if (note_depth_ > 0) {
      if (name == "p") note_ += '\n';
      if (name == "note-citation" || name == "creator") note_ += ": ";
      if ((name == "note" || name == "annotation") && --note_depth_ == 0) {
        text_.Note(note_);
        note_.clear();
      }
    } else if (name == "h" || name == "p") {
      text_.EndParagraph();
    } else if (name == "list") {
      --list_depth_;
    } else if (name == "table-header-rows") {
      in_header_ = false;
    } else if (name == "table-cell" || name == "covered-table-cell") {
      text_.EndCell();
    } else if (name == "table-row") {
      text_.EndRow();
    } else if (name == "table") {
      text_.EndTable();
    }
  }

  void Text(absl::string_view text) override {
    if (skipped_ > 0) return;
    if (note_depth_ > 0) {
      absl::StrAppend(&note_, text);
    } else {
      text_.Text(text);
    }
  }

  void Finish() { text_.Finish(); }

 private:
  static bool IsSkipped(absl::string_view name) {
    return name == "tracked-changes" || name == "table-of-content" ||
           name == "automatic-styles" || name == "scripts" ||
           name == "date";  // of an annotation
  }

  void StartInNote(absl::string_view name) {
    if (name == "s" || name == "tab") note_ += ' ';
    if (name == "line-break") note_ += '\n';
  }

  OfficeText text_;
  int skipped_ = 0;
  int list_depth_ = 0;
  bool in_header_ = false;
  int note_depth_ = 0;
  std::string note_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseOdt(absl::string_view name,
                                        absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  const std::string manifest_part = "META-INF/manifest.xml";
  if (archive->Has(manifest_part)) {
    absl::StatusOr<std::string> manifest = archive->Read(manifest_part);
    if (!manifest.ok()) return manifest.status();
    if (absl::StrContains(*manifest, "encryption-data")) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": is encrypted: it needs a password"));
    }
  }
  const std::string part = "content.xml";
  absl::StatusOr<std::string> content = archive->Read(part);
  if (!content.ok()) {
    return absl::Status(absl::IsNotFound(content.status())
                            ? absl::StatusCode::kInvalidArgument
                            : content.status().code(),
                        content.status().message());
  }
  DocumentBuilder builder(name, source);
  ContentHandler handler(&builder);
  if (absl::Status status = ReadXml(name, part, *content, &handler);
      !status.ok()) {
    return status;
  }
  handler.Finish();
  if (absl::Status status =
          ReadProperties(name, &*archive, "meta.xml", &builder);
      !status.ok()) {
    return status;
  }
  return builder.Finish();
}

}  // namespace braid::retrieval
