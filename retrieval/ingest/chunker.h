// Cuts a parsed document into chunks.
#ifndef BRAID_RETRIEVAL_INGEST_CHUNKER_H_
#define BRAID_RETRIEVAL_INGEST_CHUNKER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// kWhole: one chunk. kStructure: neighbouring blocks under the same headings
// are joined up to max_tokens; a heading goes with the text below it; tables
// and code stay whole where they fit, and are cut between rows or lines where
// they do not; a long paragraph is cut between sentences, then between words.
// Pages are not joined.
// Every block's text lies in at least one chunk; ranges begin and end on
// character boundaries. `overlap_tokens` are repeated only where a block had to
// be cut.
absl::StatusOr<std::vector<ChunkSpan>> ChunkDocument(
    const ParsedDocument& document, const ChunkingConfig& config,
    const Encoder& encoder);

// The text that is embedded for a chunk: "title. text", or "title > headings.
// text"; the text alone where there is no title.
std::string EmbeddingText(absl::string_view title, const ChunkSpan& chunk,
                          absl::string_view chunk_text);

// Title and headings as the lexical index gets them.
std::string LexicalTitle(absl::string_view title, const ChunkSpan& chunk);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_CHUNKER_H_
