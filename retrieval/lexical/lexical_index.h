// BM25 over chunks (Tantivy behind a C ABI).
#ifndef BRAID_RETRIEVAL_LEXICAL_LEXICAL_INDEX_H_
#define BRAID_RETRIEVAL_LEXICAL_LEXICAL_INDEX_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/chunk_bitmap.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// What is indexed of a chunk.
struct LexicalDocument {
  ChunkId chunk = 0;
  absl::string_view title;  // title and headings
  absl::string_view text;
};

// An immutable commit of the index: it stays readable while newer commits are
// made and after files are deleted. Thread-safe.
class LexicalSnapshot {
 public:
  virtual ~LexicalSnapshot() = default;

  // The best `limit` chunks by BM25 (k1 1.2, b 0.75) over their words and
  // identifiers, best first; equal scores by smaller chunk id. To the scores of
  // the first 50, whatever the limit, is added what titles and pairs of
  // neighbouring words have in common with the query; no score falls by it, so
  // the rest stay behind. Each distinct term of `query` counts once; any text
  // is a valid query (there is no query syntax). With `allowed`, only chunks in
  // it are returned. A query without terms finds nothing.
  virtual absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::string_view query, size_t limit,
      const ChunkBitmap* allowed) const = 0;
  // The best `limit` chunks by BM25 over their titles alone, likewise.
  virtual absl::StatusOr<std::vector<ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const ChunkBitmap* allowed) const = 0;
  // The scores of those of `chunks` that are in the index and share a word or
  // an identifier with the query, by ascending chunk: what Search gives them,
  // titles and pairs aside.
  virtual absl::StatusOr<std::vector<ScoredChunk>> Score(
      absl::string_view query, absl::Span<const ChunkId> chunks) const = 0;
  // Ids of all chunks in the index, ascending.
  virtual absl::StatusOr<std::vector<ChunkId>> Chunks() const = 0;
};

// One writer at a time (thread-compatible, except snapshot(), which any thread
// may call).
class LexicalIndex {
 public:
  virtual ~LexicalIndex() = default;

  // Opens the index in `directory`, or creates it. A damaged index is removed
  // and created anew, empty, with committed_sequence() 0: the store refills it.
  // `language` (ISO 639-1) chooses the stemmer; INVALID_ARGUMENT, with the
  // list, if there is none for it. An index of another language counts as
  // damaged. FAILED_PRECONDITION if another writer has the directory; a killed
  // one never has. Reads every file once to check it.
  static absl::StatusOr<std::unique_ptr<LexicalIndex>> Open(
      const std::string& directory, const std::string& language);

  // Adds a chunk; one with the same id is replaced. Text that is not UTF-8 is
  // indexed with replacement characters. After an error of any of these three
  // calls, what was not committed may be lost: open the index again and replay.
  virtual absl::Status Add(const LexicalDocument& document) = 0;
  // Deletes a chunk. Deleting one that is not there does nothing.
  virtual absl::Status Delete(ChunkId chunk) = 0;
  // Makes everything so far durable, with `sequence` in the same atomic commit,
  // and visible to later snapshots.
  virtual absl::Status Commit(Sequence sequence) = 0;
  // The sequence of the last commit; 0 for a new index.
  virtual Sequence committed_sequence() const = 0;
  virtual std::shared_ptr<const LexicalSnapshot> snapshot() const = 0;
  // Reads every file of the last commit again. DATA_LOSS naming the first one
  // that is missing or not what was written.
  virtual absl::Status Verify() const = 0;
};

// What a lexical index on the disk holds.
struct LexicalContents {
  Sequence sequence = 0;
  std::vector<ChunkId> chunks;  // ascending
};

// Reads an index that is not open, and changes nothing. NOT_FOUND if there is
// none; DATA_LOSS, naming what is wrong, where Open would create it anew.
absl::StatusOr<LexicalContents> ReadLexicalIndex(const std::string& directory,
                                                 const std::string& language);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LEXICAL_LEXICAL_INDEX_H_
