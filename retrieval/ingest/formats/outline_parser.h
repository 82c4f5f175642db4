// reStructuredText and Org: plain text whose headings and code are marked.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_OUTLINE_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_OUTLINE_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// The text is the source. Sections are titles underlined (and perhaps
// overlined) with punctuation; levels go by the order in which the styles
// appear, as docutils does. The title is the first heading. `source` is UTF-8.
absl::StatusOr<ParsedDocument> ParseRestructuredText(absl::string_view name,
                                                     absl::string_view source);

// The text is the source. Headings are lines of stars; #+begin_...#+end_ is
// code; #+title, #+author and their like go to title and metadata.
absl::StatusOr<ParsedDocument> ParseOrg(absl::string_view name,
                                        absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_OUTLINE_PARSER_H_
