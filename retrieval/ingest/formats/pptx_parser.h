// PowerPoint presentations (.pptx, ISO/IEC 29500, common and strict).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_PPTX_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_PPTX_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Slides in the order of the presentation, each a page and a section under its
// title ("Slide N" if it has none). The text of shapes, tables and diagrams
// comes in the order of the file, then comments, then the speaker's notes under
// a heading of their own. Hidden slides are read too: they are out of the show,
// not out of the file, and they count when slides are numbered. What masters
// and layouts hold, dates, footers and slide numbers are left out, and so are
// charts. A slide that is named and not there is passed over; if that is all of
// them, INVALID_ARGUMENT.
//
// The title is that of the first slide, else what the file's properties say:
// there it is mostly the template's. Fills metadata author, subject, keywords,
// and pages, the number of slides.
absl::StatusOr<ParsedDocument> ParsePptx(absl::string_view name,
                                         absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_PPTX_PARSER_H_
