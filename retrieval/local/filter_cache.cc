#include "retrieval/local/filter_cache.h"

#include <chrono>
#include <utility>

#include "retrieval/filter/filter.h"

namespace braid::retrieval {
namespace {

constexpr size_t kMaxEntries = 16;
// Documents between two looks at the clock.
constexpr uint64_t kCheckEvery = 256;

}  // namespace

absl::Status CheckTime(std::chrono::steady_clock::time_point deadline,
                       const std::stop_token& stop) {
  if (stop.stop_requested()) {
    return absl::CancelledError("the search was cancelled");
  }
  if (std::chrono::steady_clock::now() >= deadline) {
    return absl::DeadlineExceededError("the search ran out of time");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ChunkBitmap>> FilterCache::Resolve(
    const CollectionView& view, const std::string& filter,
    std::chrono::steady_clock::time_point deadline,
    const std::stop_token& stop) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Entry& entry : entries_) {
      if (entry.sequence == view.sequence() && entry.filter == filter) {
        return entry.allowed;
      }
    }
  }
  const absl::StatusOr<Filter> parsed = Filter::Parse(filter);
  if (!parsed.ok()) return parsed.status();
  auto allowed = std::make_shared<ChunkBitmap>();
  absl::Status in_time = CheckTime(deadline, stop);
  uint64_t visited = 0;
  const absl::Status scanned = view.store().ForEachDocument(
      view.collection(), [&](const DocumentInfo& document) {
        if (parsed->Matches(document)) {
          allowed->AddRange(document.first_chunk, document.chunk_count);
        }
        if (++visited % kCheckEvery == 0) in_time = CheckTime(deadline, stop);
        return in_time.ok();
      });
  if (!scanned.ok()) return scanned;
  if (!in_time.ok()) return in_time;
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_.push_front({filter, view.sequence(), allowed});
  if (entries_.size() > kMaxEntries) entries_.pop_back();
  return allowed;
}

}  // namespace braid::retrieval
