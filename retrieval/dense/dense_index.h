// Nearest vectors over chunks (FAISS).
#ifndef BRAID_RETRIEVAL_DENSE_DENSE_INDEX_H_
#define BRAID_RETRIEVAL_DENSE_DENSE_INDEX_H_

#include <functional>
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
  size_t seal_vectors = 4096;
  int hnsw_m = 32;
  int hnsw_ef_construction = 100;
  int hnsw_ef_search = 128;
};

// What a snapshot consists of.
struct DenseStats {
  uint64_t live = 0;          // vectors that can be found
  uint64_t deleted = 0;       // deleted, their memory not yet reclaimed
  uint64_t flat_vectors = 0;  // held in flat segments, deleted ones included
  uint64_t hnsw_vectors = 0;  // held in HNSW segments, deleted ones included
  uint32_t flat_segments = 0;
  uint32_t hnsw_segments = 0;
  uint64_t vector_bytes = 0;  // memory of the vectors, each held once
};

// An immutable state of the index. Thread-safe. A search runs on the calling
// thread alone. Flat segments are searched exactly; an HNSW segment is searched
// through its graph, or exactly where a filter, deletes or a large limit leave
// so few vectors to choose from that scanning them is cheaper.
class DenseSnapshot {
 public:
  virtual ~DenseSnapshot() = default;

  // The `limit` chunks with the largest inner product, best first; equal scores
  // by smaller chunk id. With `allowed`, only chunks in it.
  // `vector` has the index's dimension and is finite (INVALID_ARGUMENT
  // otherwise).
  virtual absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::Span<const float> vector, size_t limit,
      const ChunkBitmap* allowed) const = 0;
  // The inner products of chunks that are named rather than searched for, in
  // order, exact; a chunk that is not there is left out. `vector` as above.
  virtual absl::StatusOr<std::vector<ScoredChunk>> Score(
      absl::Span<const float> vector,
      absl::Span<const ChunkId> chunks) const = 0;
  // Ids of all live chunks, ascending.
  virtual std::vector<ChunkId> Chunks() const = 0;
  virtual DenseStats Stats() const = 0;
};

// One writer at a time (thread-compatible, except snapshot() and
// WaitUntilSettled()). One background thread, started when it is first needed,
// seals full flat segments, rebuilds segments with more than a fifth deleted
// and merges small ones; what it makes becomes visible by itself, and durable
// with the next Commit.
class DenseIndex {
 public:
  // Stops the background thread, which takes well under a second; work it had
  // not finished starts anew at the next Open.
  virtual ~DenseIndex() = default;

  // Opens the index in `directory`, or creates it. Segments lie in checksummed
  // envelopes and are checked on open; a damaged or foreign one empties the
  // index (committed_sequence() 0): the store refills it. An error only where
  // the file system refuses or the options are wrong.
  static absl::StatusOr<std::unique_ptr<DenseIndex>> Open(
      const std::string& directory, const DenseIndexOptions& options);

  // `vectors` holds one vector per id, in order. A chunk that is there already
  // is replaced. INVALID_ARGUMENT, and nothing is added, for id 0, an id given
  // twice, a wrong length or a value that is not finite.
  virtual absl::Status Add(absl::Span<const ChunkId> chunks,
                           absl::Span<const float> vectors) = 0;
  // Deletes a chunk. Deleting one that is not there does nothing.
  virtual absl::Status Delete(ChunkId chunk) = 0;
  // Makes adds and deletes so far visible to later snapshots. Not durable. The
  // cost grows with what is new, not with what is there.
  virtual void Publish() = 0;
  // Writes segments and manifest with `sequence`, atomically (temporary name,
  // sync, rename). Between commits the store's log is the durable copy. Writes
  // the segments that are new, the growing flat one (up to seal_vectors) and
  // the manifest; nothing at all when nothing has changed.
  virtual absl::Status Commit(Sequence sequence) = 0;
  // Vectors and deletes not yet committed: when to call Commit.
  virtual size_t uncommitted() const = 0;
  virtual Sequence committed_sequence() const = 0;
  virtual std::shared_ptr<const DenseSnapshot> snapshot() const = 0;
  // Reads every file of the last commit again. DATA_LOSS naming the first one
  // that is missing or not what was written. Writes wait meanwhile.
  virtual absl::Status Verify() const = 0;
  // Blocks until the background thread has nothing left to do.
  virtual void WaitUntilSettled() const = 0;
};

// What a dense index on the disk holds.
struct DenseContents {
  Sequence sequence = 0;
  std::vector<ChunkId> chunks;  // ascending
};

// Reads an index that is not open, and changes nothing; `visit` gets every live
// chunk with its vector, in no order. NOT_FOUND if there is none; DATA_LOSS,
// naming the file, where Open would empty it.
absl::StatusOr<DenseContents> ReadDenseIndex(
    const std::string& directory, size_t dimension,
    const std::function<void(ChunkId chunk, absl::Span<const float> vector)>&
        visit);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_DENSE_INDEX_H_
