#include "retrieval/ingest/formats/docx_parser.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "retrieval/ingest/formats/office_text.h"
#include "retrieval/ingest/formats/ooxml.h"
#include "retrieval/ingest/formats/xml_reader.h"

namespace braid::retrieval {
namespace {

constexpr int kMaxStyleChain = 16;

// What a paragraph style says.
struct Style {
  std::string based_on;
  int heading = 0;
  bool list_item = false;
};
using Styles = std::map<std::string, Style>;

int ToInt(absl::string_view text, int otherwise) {
  int value = 0;
  return absl::SimpleAtoi(text, &value) ? value : otherwise;
}

class StylesHandler : public XmlHandler {
 public:
  explicit StylesHandler(Styles* styles) : styles_(styles) {}

  void Start(const XmlElement& element) override {
    const absl::string_view name = element.name();
    const absl::string_view value = element.attribute("val");
    if (name == "style") {
      style_ = &(*styles_)[std::string(element.attribute("styleId"))];
    } else if (style_ == nullptr) {
      return;
    } else if (name == "basedOn") {
      style_->based_on = std::string(value);
    } else if (name == "name") {
      std::string lower = absl::AsciiStrToLower(value);
      absl::string_view rest = lower;
      if (rest == "title") style_->heading = 1;
      if (absl::ConsumePrefix(&rest, "heading ")) {
        style_->heading = ToInt(rest, 0);
      }
    } else if (name == "outlineLvl" && style_->heading == 0) {
      // 9 is body text.
      const int level = ToInt(value, 9);
      if (level < 9) style_->heading = level + 1;
    } else if (name == "numPr") {
      style_->list_item = true;
    }
  }
  void End(absl::string_view name) override {
    if (name == "style") style_ = nullptr;
  }
  void Text(absl::string_view) override {}

 private:
  Styles* const styles_;
  Style* style_ = nullptr;
};

// Notes by id. Their own paragraphs are joined by line breaks.
using Notes = std::map<std::string, std::string>;

class NotesHandler : public XmlHandler {
 public:
  // `element` is footnote, endnote or comment.
  NotesHandler(absl::string_view element, Notes* notes)
      : element_(element), notes_(notes) {}

  void Start(const XmlElement& element) override {
    if (element.name() == element_) {
      // Separators between text and notes are notes too, of a type.
      const absl::string_view type = element.attribute("type");
      note_ = type.empty() || type == "normal"
                  ? &(*notes_)[std::string(element.attribute("id"))]
                  : nullptr;
      if (note_ != nullptr && !element.attribute("author").empty()) {
        absl::StrAppend(note_, element.attribute("author"), ": ");
      }
    }
    in_text_ = element.name() == "t";
    if (note_ == nullptr) return;
    if (element.name() == "tab") *note_ += '\t';
    if (element.name() == "br") *note_ += '\n';
  }
  void End(absl::string_view name) override {
    in_text_ = false;
    if (name == element_) note_ = nullptr;
    if (name == "p" && note_ != nullptr) *note_ += '\n';
  }
  void Text(absl::string_view text) override {
    if (in_text_ && note_ != nullptr) absl::StrAppend(note_, text);
  }

 private:
  const absl::string_view element_;
  Notes* const notes_;
  std::string* note_ = nullptr;
  bool in_text_ = false;
};

class BodyHandler : public XmlHandler {
 public:
  BodyHandler(const Styles& styles, Notes footnotes, Notes endnotes,
              Notes comments, DocumentBuilder* builder)
      : styles_(styles),
        footnotes_(std::move(footnotes)),
        endnotes_(std::move(endnotes)),
        comments_(std::move(comments)),
        text_(builder) {}

  void Start(const XmlElement& element) override {
    const absl::string_view name = element.name();
    if (skipped_ > 0 || IsSkipped(name)) {
      ++skipped_;
    } else if (name == "p") {
      text_.BeginParagraph();
    } else if (name == "pStyle") {
      ApplyStyle(std::string(element.attribute("val")));
    } else if (name == "outlineLvl") {
      const int level = ToInt(element.attribute("val"), 9);
      if (level < 9) text_.SetHeading(level + 1);
    } else if (name == "numId") {
      if (element.attribute("val") != "0") text_.SetListItem();
    } else if (name == "t") {
      in_text_ = true;
    } else if (name == "tab" || name == "ptab") {
      // In a paragraph's properties, tab stops are "tab" too.
      if (!in_properties_) text_.Text("\t");
    } else if (name == "br" || name == "cr") {
      text_.Text("\n");
    } else if (name == "noBreakHyphen") {
      text_.Text("-");
    } else if (name == "pPr" || name == "rPr") {
      in_properties_ = true;
    } else if (name == "footnoteReference") {
      Refer(footnotes_, element);
    } else if (name == "endnoteReference") {
      Refer(endnotes_, element);
    } else if (name == "commentReference") {
      Refer(comments_, element);
    } else {
      StartTablePart(element);
    }
  }

  void End(absl::string_view name) override {
    if (skipped_ > 0) {
      --skipped_;
    } else if (name == "p") {
      text_.EndParagraph();
    } else if (name == "t") {
      in_text_ = false;
    } else if (name == "pPr" || name == "rPr") {
      in_properties_ = false;
    } else if (name == "tc") {
      text_.EndCell();
    } else if (name == "tr") {
      text_.EndRow();
    } else if (name == "tbl") {
      text_.EndTable();
    }
  }

  void Text(absl::string_view text) override {
    if (in_text_ && skipped_ == 0) text_.Text(text);
  }

  void Finish() { text_.Finish(); }

 private:
  // Text that was moved or deleted, and the second form of what is there in a
  // newer one (text boxes).
  static bool IsSkipped(absl::string_view name) {
    return name == "del" || name == "moveFrom" || name == "Fallback" ||
           name == "instrText" || name == "pPrChange" || name == "rPrChange";
  }

  void StartTablePart(const XmlElement& element) {
    const absl::string_view name = element.name();
    if (name == "tbl") {
      text_.BeginTable();
    } else if (name == "tr") {
      text_.BeginRow();
    } else if (name == "tblHeader") {
      const absl::string_view value = element.attribute("val");
      if (value != "0" && value != "false" && value != "off") {
        text_.SetHeaderRow();
      }
    } else if (name == "tc") {
      text_.BeginCell();
    } else if (name == "gridSpan") {
      text_.SetCellColumns(ToInt(element.attribute("val"), 1));
    }
  }

  void ApplyStyle(std::string id) {
    for (int i = 0; i < kMaxStyleChain; ++i) {
      const auto style = styles_.find(id);
      if (style == styles_.end()) return;
      if (style->second.list_item) text_.SetListItem();
      if (style->second.heading > 0) {
        text_.SetHeading(style->second.heading);
        return;
      }
      id = style->second.based_on;
    }
  }

  // A note's text is taken once, however often it is referred to.
  void Refer(Notes& notes, const XmlElement& reference) {
    const auto note = notes.find(std::string(reference.attribute("id")));
    if (note == notes.end()) return;
    text_.Note(note->second);
    notes.erase(note);
  }

  const Styles& styles_;
  Notes footnotes_;
  Notes endnotes_;
  Notes comments_;
  OfficeText text_;
  int skipped_ = 0;  // depth in what is left out
  bool in_text_ = false;
  bool in_properties_ = false;
};

class DocxReader {
 public:
  DocxReader(absl::string_view name, absl::string_view source,
             ZipArchive* archive)
      : name_(name), archive_(archive), builder_(name, source) {}

  absl::StatusOr<ParsedDocument> Read() {
    absl::StatusOr<OoxmlContent> content =
        FindContent(name_, archive_, "word/document.xml");
    if (!content.ok()) return content.status();

    Styles styles;
    StylesHandler styles_handler(&styles);
    Notes footnotes, endnotes, comments;
    NotesHandler footnotes_handler("footnote", &footnotes);
    NotesHandler endnotes_handler("endnote", &endnotes);
    NotesHandler comments_handler("comment", &comments);
    for (const auto& [kind, handler] :
         std::vector<std::pair<std::string, XmlHandler*>>{
             {"styles", &styles_handler},
             {"footnotes", &footnotes_handler},
             {"endnotes", &endnotes_handler},
             {"comments", &comments_handler}}) {
      const std::string& part = content->relations.by_kind[kind];
      if (part.empty() || !archive_->Has(part)) continue;
      if (absl::Status status = ReadPart(part, handler); !status.ok()) {
        return status;
      }
    }
    BodyHandler body_handler(styles, std::move(footnotes), std::move(endnotes),
                             std::move(comments), &builder_);
    if (absl::Status status = ReadPart(content->part, &body_handler);
        !status.ok()) {
      return status;
    }
    body_handler.Finish();
    if (absl::Status status =
            ReadProperties(name_, archive_, content->properties, &builder_);
        !status.ok()) {
      return status;
    }
    return builder_.Finish();
  }

 private:
  absl::Status ReadPart(const std::string& part, XmlHandler* handler) {
    return ReadXmlPart(name_, archive_, part, handler);
  }

  const absl::string_view name_;
  ZipArchive* const archive_;
  DocumentBuilder builder_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseDocx(absl::string_view name,
                                         absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  return DocxReader(name, source, &*archive).Read();
}

}  // namespace braid::retrieval
