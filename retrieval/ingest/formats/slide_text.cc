#include "retrieval/ingest/formats/slide_text.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {

absl::Status SlideText::AddTo(uint32_t number, DocumentBuilder* document) {
  for (Part* part : {&title_, &body_, &notes_}) part->text.Finish();
  const absl::StatusOr<ParsedDocument> title = title_.builder.Finish();
  if (!title.ok()) return title.status();
  const absl::StatusOr<ParsedDocument> body = body_.builder.Finish();
  if (!body.ok()) return body.status();
  const absl::StatusOr<ParsedDocument> notes = notes_.builder.Finish();
  if (!notes.ok()) return notes.status();
  if (title->text.empty() && body->text.empty() && notes->text.empty()) {
    return absl::OkStatus();
  }
  document->set_page(number);
  document->AddHeading(
      1, title->text.empty() ? absl::StrCat("Slide ", number) : title->text);
  if (number == 1) document->SetTitle(title->text);
  document->AddDocument(*body);
  if (!notes->text.empty()) {
    document->AddHeading(2, "Notes");
    document->AddDocument(*notes);
  }
  return document->status();
}

}  // namespace braid::retrieval
