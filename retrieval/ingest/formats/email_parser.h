// Email as files (.eml, RFC 5322 with MIME).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_EMAIL_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_EMAIL_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Subject as title; from, to, cc, date and message_id as metadata and (but for
// the last) as the first block; then the bodies, forwarded messages too. Of
// alternatives the plain text is read, else the HTML. Other parts are named
// (metadata "attachments" and a last block), not read. A plain body has exact
// source ranges unless it is encoded; an encoded one has those of its part.
absl::StatusOr<ParsedDocument> ParseEmail(absl::string_view name,
                                          absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_EMAIL_PARSER_H_
