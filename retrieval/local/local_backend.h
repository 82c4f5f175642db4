// The engine in this process: one store, and per collection a lexical and a
// dense index that follow its operation log.
#ifndef BRAID_RETRIEVAL_LOCAL_LOCAL_BACKEND_H_
#define BRAID_RETRIEVAL_LOCAL_LOCAL_BACKEND_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/backend.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/local/checkpoint.h"
#include "retrieval/local/verify.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

struct LocalBackendOptions {
  // Holds `store/`, `indexes/{collection}/` and, while a backup is being made,
  // `checkpoints/`.
  std::string directory;
  StoreOptions store;
  // Search threads beside the callers'.
  int search_threads = 2;
  // A batch of log entries becomes visible at the latest after this.
  absl::Duration index_interval = absl::Milliseconds(100);
  size_t seal_vectors = 4096;
  // What is past its retention is forgotten at the latest after this.
  absl::Duration history_interval = absl::Minutes(1);
};

// How far the indexes are behind the store, in the collection that is the
// furthest behind: from the newest entry of its log that the index has been
// given to the newest there is. Numbers in between may be of other collections.
struct IndexLag {
  size_t collections = 0;
  Sequence bm25 = 0;
  Sequence dense = 0;
};

// Thread-safe. Each collection has one indexer thread that applies log entries
// to both indexes and then publishes {lexical snapshot, dense snapshot, store
// snapshot} as one immutable view: a search takes one view, so it never sees
// half of a replacement.
class LocalBackend : public RetrievalBackend {
 public:
  // `encoder` must outlive the backend. Opens every collection, replays the log
  // from each index's own sequence, and rebuilds an index that is missing or
  // damaged. Does not wait for the replay: see WaitUntilCurrent.
  static absl::StatusOr<std::unique_ptr<LocalBackend>> Open(
      const LocalBackendOptions& options, const Encoder* encoder);

  // Creates the collection with the encoder's fingerprint and dimension, which
  // `config` may leave empty.
  virtual absl::Status CreateCollection(CollectionConfig config) = 0;
  virtual absl::Status DeleteCollection(const std::string& collection) = 0;
  // Blocks until searches see everything acknowledged so far.
  virtual absl::Status WaitUntilCurrent(
      const std::string& collection,
      std::chrono::steady_clock::time_point deadline) = 0;
  // Checks the store as Store::Verify, and the indexes of every collection
  // against their checksums and against the store; builds damaged ones anew if
  // `repair`. Searches and writes go on meanwhile. `progress`, which may be
  // null, is about the store, the longer part.
  virtual absl::StatusOr<DataReport> Verify(
      bool repair, std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop, const VerifyWatcher& progress) = 0;
  // From now on `listener` is told, on any thread, when the indexing of a
  // collection begins to fail and when it works again; of those that fail now,
  // before the call returns. Null: nobody is, once the call returns.
  using IndexListener =
      std::function<void(const std::string& collection, const absl::Status&)>;
  virtual void SetIndexListener(IndexListener listener) = 0;
  // Reads a counter of every collection.
  virtual IndexLag MeasureLag() = 0;
  // The store as of one moment, to be copied.
  virtual absl::StatusOr<std::unique_ptr<Checkpoint>> CreateCheckpoint() = 0;
  // Writes go straight to the store; the indexers pick them up from its log.
  virtual Store* store() = 0;
  // Makes both indexes durable at their current sequence and stops the
  // indexers. Called by the destructor too.
  virtual void Shutdown() = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_LOCAL_BACKEND_H_
