// Nearest vectors over chunks (FAISS).
#ifndef BRAID_RETRIEVAL_DENSE_DENSE_INDEX_H_
#define BRAID_RETRIEVAL_DENSE_DENSE_INDEX_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/chunk_bitmap.h"
#include "retrieval/types.h"

namespace braid::retrieval {

struct DenseIndexOptions {
  size_t dimension = 0;
  // A fresh (flat, exact) segment that reaches this many vectors is sealed into
  // an HNSW segment in the background.
  size_t seal_vectors = 16384;
  int hnsw_m = 32;
  int hnsw_ef_construction = 100;
  int hnsw_ef_search = 128;
};

// An immutable state of the index. Thread-safe.
class DenseSnapshot {
 public:
  virtual ~DenseSnapshot() = default;

  // The `limit` chunks with the largest inner product, best first; equal scores
  // by smaller chunk id. With `allowed`, only chunks in it.
  // `vector` has the index's dimension (INVALID_ARGUMENT otherwise).
  virtual absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::Span<const float> vector, size_t limit,
      const ChunkBitmap* allowed) const = 0;
  // Ids of all live chunks, ascending.
  virtual std::vector<ChunkId> Chunks() const = 0;
};

// One writer at a time (thread-compatible, except snapshot()).
class DenseIndex {
 public:
  virtual ~DenseIndex() = default;

  // Opens the index in `directory`, or creates it. Segments lie in checksummed
  // envelopes and are checked on open; a damaged or foreign one empties the
  // index (committed_sequence() 0): the store refills it.
  static absl::StatusOr<std::unique_ptr<DenseIndex>> Open(
      const std::string& directory, const DenseIndexOptions& options);

  // `vectors` holds one vector per id, in order.
  virtual absl::Status Add(absl::Span<const ChunkId> chunks,
                           absl::Span<const float> vectors) = 0;
  // Deletes a chunk. Deleting one that is not there does nothing.
  virtual absl::Status Delete(ChunkId chunk) = 0;
  // Makes adds and deletes so far visible to later snapshots. Not durable.
  virtual void Publish() = 0;
  // Writes segments and manifest with `sequence`, atomically (temporary name,
  // sync, rename). Between commits the store's log is the durable copy.
  virtual absl::Status Commit(Sequence sequence) = 0;
  // Vectors and deletes not yet committed: when to call Commit.
  virtual size_t uncommitted() const = 0;
  virtual Sequence committed_sequence() const = 0;
  virtual std::shared_ptr<const DenseSnapshot> snapshot() const = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_DENSE_INDEX_H_
