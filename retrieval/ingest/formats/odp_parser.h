// OpenDocument presentations (.odp, ISO/IEC 26300).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_ODP_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_ODP_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// As ParsePptx; diagrams are drawings here. A document with a password is
// INVALID_ARGUMENT and said to be encrypted.
absl::StatusOr<ParsedDocument> ParseOdp(absl::string_view name,
                                        absl::string_view source);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_ODP_PARSER_H_
