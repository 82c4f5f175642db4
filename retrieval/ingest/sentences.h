// Where a text may be cut: sentences and lines.
#ifndef BRAID_RETRIEVAL_INGEST_SENTENCES_H_
#define BRAID_RETRIEVAL_INGEST_SENTENCES_H_

#include "absl/strings/string_view.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// The end of the first sentence in `range` (not empty) of `text`, with the
// white space behind it; range.end if there is only one. A sentence ends at . !
// ? (with closing quotes or brackets) before white space that no lower-case
// letter follows, at the full stops of Chinese and Japanese, and at an empty
// line. A full stop behind a single letter ("J. Smith") does not end one.
uint64_t FirstSentenceEnd(absl::string_view text, ByteRange range);

// The same for lines: behind the first line feed.
uint64_t FirstLineEnd(absl::string_view text, ByteRange range);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_SENTENCES_H_
