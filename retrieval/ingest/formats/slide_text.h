// A slide of a presentation while it is read.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_SLIDE_TEXT_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_SLIDE_TEXT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/office_text.h"

namespace braid::retrieval {

// Takes title, body and notes in the order in which the file has them and adds
// them in the order in which they are read: the title may come last in a file.
class SlideText {
 public:
  // As DocumentBuilder.
  SlideText(absl::string_view name, absl::string_view source)
      : title_(name, source), body_(name, source), notes_(name, source) {}

  OfficeText* title() { return &title_.text; }
  OfficeText* body() { return &body_.text; }
  OfficeText* notes() { return &notes_.text; }

  // Adds the slide as page `number`, from 1: a heading (the title, else "Slide
  // N"), the body, and under a heading "Notes" the notes; nothing if it has no
  // text at all. The first slide's title is the document's. To be called once;
  // RESOURCE_EXHAUSTED as DocumentBuilder::status.
  absl::Status AddTo(uint32_t number, DocumentBuilder* document);

 private:
  struct Part {
    Part(absl::string_view name, absl::string_view source)
        : builder(name, source), text(&builder) {}

    DocumentBuilder builder;
    OfficeText text;
  };

  Part title_;
  Part body_;
  Part notes_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_SLIDE_TEXT_H_
