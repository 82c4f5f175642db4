#include "retrieval/local/access_cache.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "retrieval/local/filter_cache.h"

namespace braid::retrieval {
namespace {

// Of one collection: the bitmaps of a hundred names over a million chunks.
constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr size_t kEntryBytes = 256;  // of a name and its place, roughly
// With more than this in the log, looking a name up anew is no slower.
constexpr size_t kMaxChanges = 1000;
// Documents between two looks at the clock.
constexpr uint64_t kCheckEvery = 256;

size_t BytesOf(const ChunkBitmap& chunks) {
  return kEntryBytes + chunks.words().size() * sizeof(uint64_t);
}

// What writes have done to the documents between two sequences.
struct Changes {
  std::vector<std::pair<ChunkId, uint32_t>> removed;  // first chunk, count
  std::vector<DocumentInfo> documents;  // written since, as they are now
};

// Nothing if they are too many, or no longer known.
absl::StatusOr<std::optional<Changes>> ReadChanges(const CollectionView& view,
                                                   Sequence since) {
  const auto log =
      view.store().ReadLog(view.collection(), since, kMaxChanges + 1);
  if (absl::IsOutOfRange(log.status())) return std::optional<Changes>();
  if (!log.ok()) return log.status();
  if (log->size() > kMaxChanges) return std::optional<Changes>();
  std::optional<Changes> changes(std::in_place);
  std::set<absl::string_view> written;
  for (const LogEntry& entry : *log) {
    if (entry.removed_chunk_count > 0) {
      changes->removed.emplace_back(entry.removed_first_chunk,
                                    entry.removed_chunk_count);
    }
    written.insert(entry.document_id);
  }
  for (const absl::string_view id : written) {
    absl::StatusOr<DocumentInfo> document =
        view.store().GetDocument(view.collection(), id);
    if (absl::IsNotFound(document.status())) continue;  // deleted since
    if (!document.ok()) return document.status();
    changes->documents.push_back(*std::move(document));
  }
  return changes;
}

void Apply(const Changes& changes, const std::string& name,
           ChunkBitmap* chunks) {
  const auto remove = [chunks](ChunkId first, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) chunks->Remove(first + i);
  };
  for (const auto& [first, count] : changes.removed) remove(first, count);
  for (const DocumentInfo& document : changes.documents) {
    if (std::binary_search(document.readers.begin(), document.readers.end(),
                           name)) {
      chunks->AddRange(document.first_chunk, document.chunk_count);
    } else {
      remove(document.first_chunk, document.chunk_count);
    }
  }
}

}  // namespace

AccessCache::Chunks AccessCache::Find(absl::string_view name, Sequence view,
                                      Sequence* sequence) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = entries_.find(name);
  if (entry == entries_.end() || entry->second.sequence > view) return nullptr;
  entry->second.used = ++clock_;
  *sequence = entry->second.sequence;
  return entry->second.chunks;
}

void AccessCache::Remember(const std::string& name, Sequence sequence,
                           Chunks chunks) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Entry& entry = entries_[name];
  if (entry.chunks != nullptr) {
    if (entry.sequence > sequence) return;
    bytes_ -= BytesOf(*entry.chunks);
  }
  bytes_ += BytesOf(*chunks);
  entry = {sequence, std::move(chunks), ++clock_};
  while (bytes_ > kMaxBytes && entries_.size() > 1) {
    const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                         [](const auto& a, const auto& b) {
                                           return a.second.used < b.second.used;
                                         });
    bytes_ -= BytesOf(*oldest->second.chunks);
    entries_.erase(oldest);
  }
}

absl::StatusOr<std::shared_ptr<const ChunkBitmap>> AccessCache::Resolve(
    const CollectionView& view, const Viewer& viewer, absl::Time deadline,
    const std::stop_token& stop) {
  auto readable = std::make_shared<ChunkBitmap>();
  // By the sequence since when: names mostly share it.
  std::map<Sequence, std::optional<Changes>> changes;
  for (const std::string& name : viewer.names()) {
    absl::Status in_time = CheckTime(deadline, stop);
    if (!in_time.ok()) return in_time;
    Sequence since = 0;
    Chunks known = Find(name, view.sequence(), &since);
    if (known != nullptr && since < view.sequence()) {
      auto read = changes.find(since);
      if (read == changes.end()) {
        auto since_then = ReadChanges(view, since);
        if (!since_then.ok()) return since_then.status();
        read = changes.emplace(since, *std::move(since_then)).first;
      }
      if (read->second.has_value()) {
        auto changed = std::make_shared<ChunkBitmap>(*known);
        Apply(*read->second, name, changed.get());
        known = std::move(changed);
        Remember(name, view.sequence(), known);
      } else {
        known = nullptr;
      }
    }
    if (known == nullptr) {
      auto listed = std::make_shared<ChunkBitmap>();
      uint64_t visited = 0;
      const absl::Status scanned = view.store().ForEachReadable(
          view.collection(), name, /*after=*/"",
          [&](const ReadableDocument& document) {
            listed->AddRange(document.first_chunk, document.chunk_count);
            if (++visited % kCheckEvery == 0) {
              in_time = CheckTime(deadline, stop);
            }
            return in_time.ok();
          });
      if (!scanned.ok()) return scanned;
      if (!in_time.ok()) return in_time;
      known = std::move(listed);
      Remember(name, view.sequence(), known);
    }
    readable->UniteWith(*known);
  }
  return readable;
}

}  // namespace braid::retrieval
