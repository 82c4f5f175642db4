// From offsets in a document's text back to offsets in its source file.
#ifndef BRAID_RETRIEVAL_INGEST_SOURCE_MAP_H_
#define BRAID_RETRIEVAL_INGEST_SOURCE_MAP_H_

#include <vector>

#include "absl/types/span.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// A piece of text and where it comes from. Where both ranges have the same
// size the bytes are the same, one to one; else (an entity, another charset)
// only the whole piece is known. Pieces are in text order and disjoint there.
struct SourceRun {
  ByteRange text;
  ByteRange source;
};

// Collects the runs of a text that grows at its end.
class SourceMapBuilder {
 public:
  // Extends the last run where both sides go on without a gap.
  void Add(ByteRange text, ByteRange source);
  std::vector<SourceRun> Take() { return std::move(runs_); }

 private:
  std::vector<SourceRun> runs_;
};

// The smallest source range known to hold all of `text` (a range in the text).
// No runs at all means that the text is the source. O(log runs + runs covered).
ByteRange MapToSource(absl::Span<const SourceRun> runs, ByteRange text);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_SOURCE_MAP_H_
