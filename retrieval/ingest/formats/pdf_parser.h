// PDF by way of poppler. Linked into the parser worker only: poppler is GPL.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_PDF_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_PDF_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Loads what poppler would load later, when the sandbox no longer lets it.
void PreparePdfParser();

// Text in poppler's reading order, a block per paragraph, each with its page.
// Headings are lines that the document's outline names; without an outline,
// short paragraphs in larger type than most of the text. Fills title, and
// metadata author, subject, keywords, pages and, where there are any,
// pages_without_text (scanned ones, as a rule). INVALID_ARGUMENT for files that
// are damaged beyond poppler's repair, that need a password, or that have no
// text on any page; RESOURCE_EXHAUSTED over OutputLimit.
absl::StatusOr<ParsedDocument> ParsePdf(absl::string_view name,
                                        absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_PDF_PARSER_H_
