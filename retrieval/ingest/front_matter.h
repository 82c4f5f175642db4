// The YAML front matter of a Markdown file, as far as metadata can hold it.
#ifndef BRAID_RETRIEVAL_INGEST_FRONT_MATTER_H_
#define BRAID_RETRIEVAL_INGEST_FRONT_MATTER_H_

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// Reads `key: value` lines with plain or quoted scalars (true, false and
// numbers as such), `[a, b]` and `- a` lists, and nested maps, whose keys are
// joined by dots. What it does not understand it leaves out: front matter is
// no reason to refuse a document.
Metadata ParseFrontMatter(absl::string_view yaml);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FRONT_MATTER_H_
