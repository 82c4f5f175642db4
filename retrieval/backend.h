// The seam of retrieval: two ranked lists for one query, at one sequence.
#ifndef BRAID_RETRIEVAL_BACKEND_H_
#define BRAID_RETRIEVAL_BACKEND_H_

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "retrieval/chunk_bitmap.h"
#include "retrieval/types.h"
#include "retrieval/viewer.h"

namespace braid::retrieval {

struct Query {
  std::string collection;
  std::string text;
  std::string filter;  // AIP-160; empty for none
  // Who asks. Where the collection has document_access, nothing of a document
  // that it may not see, at the view's sequence or any more, is in the result
  // or can be read through its view.
  Viewer viewer;
  size_t limit_per_leg = 100;
  bool run_bm25 = true;
  bool run_dense = true;
  // Each leg also scores what only the other one found: LegResult::others.
  bool complete = false;
  Sequence wait_for_sequence = 0;  // 0: whatever is visible now
  std::chrono::steady_clock::time_point deadline =
      std::chrono::steady_clock::time_point::max();
  std::stop_token stop;  // checked between the steps of each leg
};

// What one leg found, best first.
struct LegResult {
  absl::Status status;  // OK, or why this leg has no hits
  std::vector<ScoredChunk> hits;
  // Scores, in no order, of what it did not find but the other leg did. What
  // has no score in common with the query (a passage without any of its words)
  // is not among them.
  std::vector<ScoredChunk> others;
  absl::Duration start;  // since the search began
  absl::Duration elapsed;
  bool ran = false;
};

// The state of the collection that a search saw, as far as its viewer may see
// it: what it may not see is not there. Chunk ids in the results are valid with
// it. Thread-safe; holding it pins old data, so release it when the request
// ends.
class ReadView {
 public:
  virtual ~ReadView() = default;
  virtual Sequence sequence() const = 0;
  // The best `limit` chunks by BM25 over their titles alone, best first; with
  // `allowed`, of those in it.
  virtual absl::StatusOr<std::vector<ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const ChunkBitmap* allowed) const = 0;
  // What the legs say of named chunks, in no order: BM25 scores for the text of
  // a query, cosines with its vector. Chunks that are not there, or have no
  // word of the query, are left out.
  virtual absl::StatusOr<std::vector<ScoredChunk>> ScoreBm25(
      absl::string_view text, absl::Span<const ChunkId> chunks) const = 0;
  virtual absl::StatusOr<std::vector<ScoredChunk>> ScoreDense(
      absl::Span<const float> vector,
      absl::Span<const ChunkId> chunks) const = 0;
  // One passage per id, in order; a chunk that is not there is left out.
  virtual absl::StatusOr<std::vector<Passage>> Fetch(
      absl::Span<const ChunkId> chunks) const = 0;
  // Bytes of a document's stored text. NOT_FOUND if the document is not there
  // in this version; OUT_OF_RANGE if the range is not inside its text.
  virtual absl::StatusOr<std::string> ReadText(
      const std::string& document_id, uint64_t version,
      const ByteRange& range) const = 0;
};

struct SearchResult {
  LegResult bm25;
  LegResult dense;  // elapsed includes embed_elapsed
  absl::Duration filter_elapsed;
  absl::Duration embed_elapsed;
  // Of the scores for LegResult::others; zero where there are none.
  absl::Duration complete_start;
  absl::Duration complete_elapsed;
  std::shared_ptr<const ReadView> view;
  // For further looks at the view: the chunks that the filter lets through and
  // the viewer may see, null if these are all; the vector of the query, empty
  // where there is none.
  std::shared_ptr<const ChunkBitmap> allowed;
  std::vector<float> query_vector;
};

struct ConsistencyReport {
  uint64_t store_chunks = 0;
  uint64_t bm25_chunks = 0;
  uint64_t dense_chunks = 0;
  std::vector<std::string> differences;  // the first 100
  Sequence sequence = 0;
  bool consistent() const { return differences.empty(); }
};

// How far searches of a collection are behind its writes, and why.
struct IndexState {
  Sequence visible_sequence = 0;  // what searches see now
  // What the last attempt to index failed with; OK where it did not. It is
  // tried again until it works.
  absl::Status error;
};

// A searchable engine: local by default; a distributed one behind the same
// face. Thread-safe.
class RetrievalBackend {
 public:
  virtual ~RetrievalBackend() = default;

  // Runs the legs in parallel. A leg that fails is reported in its LegResult;
  // the call fails only when all legs that were asked for did. NOT_FOUND for
  // an unknown collection, INVALID_ARGUMENT for a filter that does not parse,
  // DEADLINE_EXCEEDED, CANCELLED.
  virtual absl::StatusOr<SearchResult> Search(const Query& query) = 0;
  // Compares the ids of store and indexes at one sequence. NOT_FOUND,
  // DEADLINE_EXCEEDED (with the reason, if indexing is failing), CANCELLED.
  virtual absl::StatusOr<ConsistencyReport> CheckConsistency(
      const std::string& collection,
      std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop) = 0;
  virtual absl::StatusOr<IndexState> DescribeIndexes(
      const std::string& collection) = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_BACKEND_H_
