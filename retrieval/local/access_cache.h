// What each reader may read, as chunks.
#ifndef BRAID_RETRIEVAL_LOCAL_ACCESS_CACHE_H_
#define BRAID_RETRIEVAL_LOCAL_ACCESS_CACHE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/chunk_bitmap.h"
#include "retrieval/local/collection_view.h"
#include "retrieval/store/store.h"
#include "retrieval/viewer.h"

namespace braid::retrieval {

// Remembers the chunks of the reader names that were asked for last, of one
// collection with document_access. A name that is new is looked up in the
// store's index of readers, at a cost that grows with what it may read; one
// that is known from an older view is brought up to the new one by what the log
// says has changed since. No search looks at all documents. Thread-safe.
class AccessCache {
 public:
  // `store` must outlive it.
  explicit AccessCache(const Store* store) : store_(store) {}

  // The chunks of `view` that a reader with one of the viewer's names may read,
  // as of the view's sequence, without those that it may read no longer: a
  // right that is given comes with the view, one that is taken away is gone at
  // once. Not for one who sees all. Never part of an answer: errors as of the
  // store, DEADLINE_EXCEEDED and CANCELLED.
  absl::StatusOr<std::shared_ptr<const ChunkBitmap>> Resolve(
      const CollectionView& view, const Viewer& viewer,
      std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop);

 private:
  using Chunks = std::shared_ptr<const ChunkBitmap>;
  struct Entry {
    Sequence sequence = 0;
    Chunks chunks;
    uint64_t used = 0;  // by clock_
  };

  // Null if nothing is known, or only of a newer view.
  Chunks Find(absl::string_view name, Sequence view, Sequence* sequence);
  void Remember(const std::string& name, Sequence sequence, Chunks chunks);

  const Store* const store_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_;  // under mutex_
  size_t bytes_ = 0;                                 // of them; under mutex_
  uint64_t clock_ = 0;                               // under mutex_
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_ACCESS_CACHE_H_
