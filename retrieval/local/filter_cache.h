// Filters resolved to the chunks they allow.
#ifndef BRAID_RETRIEVAL_LOCAL_FILTER_CACHE_H_
#define BRAID_RETRIEVAL_LOCAL_FILTER_CACHE_H_

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "retrieval/chunk_bitmap.h"
#include "retrieval/local/collection_view.h"

namespace braid::retrieval {

// OK, DEADLINE_EXCEEDED or CANCELLED.
absl::Status CheckTime(std::chrono::steady_clock::time_point deadline,
                       const std::stop_token& stop);

// Remembers the last few (filter, sequence) pairs of one collection.
// Thread-safe.
class FilterCache {
 public:
  // The chunks of `view` whose documents match; scans the documents where the
  // answer is not known. Never part of an answer: INVALID_ARGUMENT if the
  // filter does not parse, DEADLINE_EXCEEDED and CANCELLED.
  absl::StatusOr<std::shared_ptr<const ChunkBitmap>> Resolve(
      const CollectionView& view, const std::string& filter,
      std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop);

 private:
  struct Entry {
    std::string filter;
    Sequence sequence;
    std::shared_ptr<const ChunkBitmap> allowed;
  };

  std::mutex mutex_;
  std::deque<Entry> entries_;  // newest first; under mutex_
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_FILTER_CACHE_H_
