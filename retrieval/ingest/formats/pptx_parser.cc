#include "retrieval/ingest/formats/pptx_parser.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/diagram_reader.h"
#include "retrieval/ingest/formats/office_text.h"
#include "retrieval/ingest/formats/ooxml.h"
#include "retrieval/ingest/formats/slide_text.h"
#include "retrieval/ingest/formats/xml_reader.h"

namespace braid::retrieval {
namespace {

// Relations to the slides, in their order.
class PresentationHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    if (element.name() != "sldId") return;
    // Lists of sections name slides by their number only.
    const absl::string_view relation = element.attribute("relationships:id");
    if (!relation.empty()) slides.emplace_back(relation);
  }
  void End(absl::string_view) override {}
  void Text(absl::string_view) override {}

  std::vector<std::string> slides;
};

// Text in DrawingML, which slides and notes are written in: paragraphs and
// tables.
class DrawingHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    if (skipped_ > 0 || IsSkipped(element)) {
      ++skipped_;
    } else if (element.name() == "AlternateContent") {
      has_alternative_.push_back(false);
    } else {
      StartShape(element);
      if (text_ != nullptr) StartText(element);
    }
  }

  void End(absl::string_view name) override {
    if (skipped_ > 0) {
      --skipped_;
    } else if (name == "AlternateContent") {
      has_alternative_.pop_back();
    } else if (name == "t") {
      in_text_ = false;
    } else if (text_ != nullptr) {
      EndText(name);
    }
  }

  void Text(absl::string_view text) override {
    if (in_text_ && skipped_ == 0 && text_ != nullptr) text_->Text(text);
  }

 protected:
  // Sets where the text of a shape goes as its description begins; null for
  // text to leave out. `bulleted` for paragraphs that are list items unless
  // they say otherwise.
  virtual void StartShape(const XmlElement& element) = 0;
  void SetTarget(OfficeText* text, bool bulleted) {
    text_ = text;
    bulleted_ = bulleted;
  }

 private:
  // The further forms of what is there in several (the first is remembered as
  // taken), and numbers of slides.
  bool IsSkipped(const XmlElement& element) {
    const absl::string_view name = element.name();
    if ((name == "Choice" || name == "Fallback") && !has_alternative_.empty()) {
      const bool further = has_alternative_.back();
      has_alternative_.back() = true;
      return further;
    }
    return name == "fld" && element.attribute("type") == "slidenum";
  }

  void StartText(const XmlElement& element) {
    const absl::string_view name = element.name();
    if (name == "p") {
      text_->BeginParagraph();
      list_item_ = bulleted_;
    } else if (name == "pPr") {
      const absl::string_view level = element.attribute("lvl");
      if (!level.empty() && level != "0") list_item_ = true;
    } else if (name == "buNone") {
      list_item_ = false;
    } else if (name == "buChar" || name == "buAutoNum" || name == "buBlip") {
      list_item_ = true;
    } else if (name == "t") {
      in_text_ = true;
    } else if (name == "br") {
      text_->Text("\n");
    } else if (name == "tbl") {
      text_->BeginTable();
      has_header_ = false;
    } else if (name == "tblPr") {
      const absl::string_view value = element.attribute("firstRow");
      has_header_ = value == "1" || value == "true";
    } else if (name == "tr") {
      text_->BeginRow();
      if (has_header_) text_->SetHeaderRow();
    } else if (name == "tc") {
      // Cells that were merged into others are there, without text.
      text_->BeginCell();
    }
  }

  void EndText(absl::string_view name) {
    if (name == "p") {
      if (list_item_) text_->SetListItem();
      text_->EndParagraph();
    } else if (name == "tc") {
      text_->EndCell();
    } else if (name == "tr") {
      text_->EndRow();
    } else if (name == "tbl") {
      text_->EndTable();
    }
  }

  OfficeText* text_ = nullptr;
  bool bulleted_ = false;
  bool list_item_ = false;
  bool has_header_ = false;
  bool in_text_ = false;
  int skipped_ = 0;  // depth in what is left out
  // Whether one of the forms was taken, for each place with several.
  std::vector<bool> has_alternative_;
};

// What a placeholder shows of the master or of the slide itself.
bool IsLeftOut(absl::string_view placeholder) {
  return placeholder == "dt" || placeholder == "ftr" || placeholder == "hdr" ||
         placeholder == "sldNum" || placeholder == "sldImg";
}

class SlideHandler : public DrawingHandler {
 public:
  // `read_diagram` gets the relation to a diagram's data, between two shapes.
  SlideHandler(SlideText* slide,
               std::function<void(absl::string_view)> read_diagram)
      : slide_(slide), read_diagram_(std::move(read_diagram)) {}

 protected:
  void StartShape(const XmlElement& element) override {
    const absl::string_view name = element.name();
    if (name == "sp" || name == "graphicFrame") {
      SetTarget(slide_->body(), false);
    } else if (name == "relIds") {
      read_diagram_(element.attribute("relationships:dm"));
    } else if (name == "ph") {
      const absl::string_view type = element.attribute("type");
      if ((type == "title" || type == "ctrTitle") && !has_title_) {
        has_title_ = true;
        SetTarget(slide_->title(), false);
      } else if (IsLeftOut(type)) {
        SetTarget(nullptr, false);
      } else if (type.empty() || type == "obj" || type == "body") {
        SetTarget(slide_->body(), true);
      }
    }
  }

 private:
  SlideText* const slide_;
  const std::function<void(absl::string_view)> read_diagram_;
  bool has_title_ = false;
};

class NotesHandler : public DrawingHandler {
 public:
  explicit NotesHandler(OfficeText* notes) : notes_(notes) {}

 protected:
  void StartShape(const XmlElement& element) override {
    if (element.name() == "sp" || element.name() == "graphicFrame") {
      SetTarget(notes_, false);
    } else if (element.name() == "ph" && IsLeftOut(element.attribute("type"))) {
      SetTarget(nullptr, false);
    }
  }

 private:
  OfficeText* const notes_;
};

// Names of those who comment, by id.
using Authors = std::map<std::string, std::string>;

class AuthorsHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    if (element.name() != "cmAuthor" && element.name() != "author") return;
    authors.emplace(element.attribute("id"), element.attribute("name"));
  }
  void End(absl::string_view) override {}
  void Text(absl::string_view) override {}

  Authors authors;
};

// Comments in the two ways in which PowerPoint has written them.
class CommentsHandler : public XmlHandler {
 public:
  explicit CommentsHandler(const Authors& authors) : authors_(authors) {}

  void Start(const XmlElement& element) override {
    const absl::string_view name = element.name();
    if (name == "cm" || name == "reply") {
      open_.push_back(comments_.size());
      const auto author =
          authors_.find(std::string(element.attribute("authorId")));
      comments_.push_back({author == authors_.end() ? "" : author->second, ""});
    } else if (name == "br" && !open_.empty()) {
      comments_[open_.back()].text += '\n';
    }
    in_text_ = name == "text" || name == "t";
  }
  void End(absl::string_view name) override {
    in_text_ = false;
    if (open_.empty()) return;
    if (name == "p") comments_[open_.back()].text += '\n';
    if (name == "cm" || name == "reply") open_.pop_back();
  }
  void Text(absl::string_view text) override {
    if (in_text_ && !open_.empty()) {
      absl::StrAppend(&comments_[open_.back()].text, text);
    }
  }

  // Replies behind what they reply to, which the file has the other way round.
  void AddTo(OfficeText* text) const {
    for (const Comment& comment : comments_) {
      if (absl::StripAsciiWhitespace(comment.text).empty()) continue;
      text->Note(comment.author.empty()
                     ? comment.text
                     : absl::StrCat(comment.author, ": ", comment.text));
    }
  }

 private:
  struct Comment {
    std::string author;
    std::string text;
  };

  const Authors& authors_;
  std::vector<Comment> comments_;
  std::vector<size_t> open_;  // into comments_: a comment and its reply
  bool in_text_ = false;
};

class PptxReader {
 public:
  PptxReader(absl::string_view name, absl::string_view source,
             ZipArchive* archive)
      : name_(name),
        source_(source),
        archive_(archive),
        builder_(name, source) {}

  absl::StatusOr<ParsedDocument> Read() {
    const absl::StatusOr<OoxmlContent> content =
        FindContent(name_, archive_, "ppt/presentation.xml");
    if (!content.ok()) return content.status();
    PresentationHandler presentation;
    absl::Status status =
        ReadXmlPart(name_, archive_, content->part, &presentation);
    if (!status.ok()) return status;
    AuthorsHandler authors;
    for (const char* kind : {"commentAuthors", "authors"}) {
      status = ReadRelated(content->relations, kind, &authors);
      if (!status.ok()) return status;
    }
    uint32_t number = 0;
    bool found = false;
    for (const std::string& relation : presentation.slides) {
      ++number;
      const auto part = content->relations.by_id.find(relation);
      if (part == content->relations.by_id.end() || !Take(part->second)) {
        continue;
      }
      found = true;
      status = AddSlide(part->second, number, authors.authors);
      if (!status.ok()) return status;
    }
    if (number > 0 && !found) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": none of the slides that ", content->part,
                       " names is in the archive"));
    }
    builder_.SetMetadata("pages", static_cast<double>(number));
    status = ReadProperties(name_, archive_, content->properties, &builder_);
    if (!status.ok()) return status;
    return builder_.Finish();
  }

 private:
  absl::Status AddSlide(const std::string& part, uint32_t number,
                        const Authors& authors) {
    const absl::StatusOr<OoxmlRelations> relations =
        ReadRelations(name_, archive_, part);
    if (!relations.ok()) return relations.status();
    SlideText slide(name_, source_);
    absl::Status diagrams;
    SlideHandler shapes(&slide, [&](absl::string_view relation) {
      const auto data = relations->by_id.find(std::string(relation));
      if (data == relations->by_id.end() || !Take(data->second)) return;
      DiagramReader diagram;
      diagrams.Update(ReadXmlPart(name_, archive_, data->second, &diagram));
      diagram.AddTo(slide.body());
    });
    absl::Status status = ReadXmlPart(name_, archive_, part, &shapes);
    status.Update(diagrams);
    if (!status.ok()) return status;
    slide.body()->Finish();
    CommentsHandler comments(authors);
    status = ReadRelated(*relations, "comments", &comments);
    if (!status.ok()) return status;
    comments.AddTo(slide.body());
    NotesHandler notes(slide.notes());
    status = ReadRelated(*relations, "notesSlide", &notes);
    if (!status.ok()) return status;
    return slide.AddTo(number, &builder_);
  }

  // Reads the part of that kind, if there is one.
  absl::Status ReadRelated(const OoxmlRelations& relations,
                           const std::string& kind, XmlHandler* handler) {
    const auto part = relations.by_kind.find(kind);
    if (part == relations.by_kind.end() || !Take(part->second)) {
      return absl::OkStatus();
    }
    return ReadXmlPart(name_, archive_, part->second, handler);
  }

  // Whether there is such a part that was not read yet: however often parts are
  // named, there is no more to do than the archive has members.
  bool Take(const std::string& part) {
    return archive_->Has(part) && taken_.insert(part).second;
  }

  const absl::string_view name_;
  const absl::string_view source_;
  ZipArchive* const archive_;
  DocumentBuilder builder_;
  std::set<std::string> taken_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParsePptx(absl::string_view name,
                                         absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  return PptxReader(name, source, &*archive).Read();
}

}  // namespace braid::retrieval
