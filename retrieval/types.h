// The plain structs of retrieval: what is stored, asked and found.
#ifndef BRAID_RETRIEVAL_TYPES_H_
#define BRAID_RETRIEVAL_TYPES_H_

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace braid::retrieval {

// Number of a chunk within its collection: grows with every write, never used
// again. 0 is no chunk.
using ChunkId = uint64_t;
// Position in a store's operation log, from 1; grows with every write.
using Sequence = uint64_t;

// Half-open range of bytes.
struct ByteRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t size() const { return end - begin; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

using MetadataValue =
    std::variant<bool, double, std::string, std::vector<std::string>>;
using Metadata = std::map<std::string, MetadataValue>;

enum class ChunkingStrategy { kStructure, kWhole };

struct ChunkingConfig {
  ChunkingStrategy strategy = ChunkingStrategy::kStructure;
  uint32_t max_tokens = 200;    // encoder tokens, special ones not counted
  uint32_t overlap_tokens = 0;  // at most max_tokens / 2
  // Small chunks are found, larger passages are read: a chunk goes to the
  // generator with its neighbours of the same section, up to so many tokens. 0:
  // alone; else at least max_tokens.
  uint32_t parent_tokens = 0;
  friend bool operator==(const ChunkingConfig&,
                         const ChunkingConfig&) = default;
};

struct CollectionConfig {
  std::string id;               // [a-z][a-z0-9-]{0,62}
  std::string language = "en";  // ISO 639-1, of the stemmer
  ChunkingConfig chunking;
  std::string encoder;  // Encoder::fingerprint()
  uint32_t dimension = 0;
  // Each document says who may read it (viewer.h).
  bool document_access = false;
  absl::Time create_time;
};

// Where a chunk lies in its document.
struct ChunkSpan {
  ByteRange text_range;               // in Document::text
  ByteRange source_range;             // in the source file
  std::vector<std::string> headings;  // outermost first
  uint32_t page = 0;                  // from 1; 0 where there are none
  uint32_t token_count = 0;  // encoder tokens, special ones not counted
};

struct Chunk {
  ChunkId id = 0;
  std::string document_id;
  uint64_t version = 0;
  uint32_t ordinal = 0;
  ChunkSpan span;
};

// All of a document but its text.
struct DocumentInfo {
  std::string id;
  uint64_t version = 0;
  std::string title;
  std::string media_type;
  std::string content_hash;  // SHA-256 of the source bytes, lower-case hex
  std::string source_fingerprint;  // DocumentWrite's
  Metadata metadata;
  // Who may read it where the collection has document_access (viewer.h);
  // sorted, each once. Empty elsewhere.
  std::vector<std::string> readers;
  Sequence sequence = 0;        // of the write that made this version
  Sequence state_sequence = 0;  // of that, or of the newest patch since
  ChunkId first_chunk = 0;  // its chunks are first_chunk ... + chunk_count - 1
  uint32_t chunk_count = 0;
  uint64_t text_bytes = 0;
  absl::Time create_time;
  absl::Time update_time;
};

// A hit of one leg.
struct ScoredChunk {
  ChunkId chunk = 0;
  float score = 0;
};

// A chunk with everything a reader of results needs.
struct Passage {
  Chunk chunk;
  std::string title;
  std::string text;  // the bytes chunk.span.text_range of the document's text
  Metadata metadata;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_TYPES_H_
