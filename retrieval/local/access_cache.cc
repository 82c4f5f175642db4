#include "retrieval/local/access_cache.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
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

// What writes have done to the documents since a sequence.
struct Changes {
  struct Removed {
    std::string document_id;
    ChunkId first_chunk = 0;
    uint32_t chunk_count = 0;
  };
  std::vector<Removed> removed;
  // Written since, as they are in the end, by id.
  std::map<std::string, DocumentInfo> documents;
};

// Those until `store`; nothing if they are too many, or no longer known.
absl::StatusOr<std::optional<Changes>> ReadChanges(
    const StoreSnapshot& store, const std::string& collection, Sequence since) {
  const auto log = store.ReadLog(collection, since, kMaxChanges + 1);
  if (absl::IsOutOfRange(log.status())) return std::optional<Changes>();
  if (!log.ok()) return log.status();
  if (log->size() > kMaxChanges) return std::optional<Changes>();
  std::optional<Changes> changes(std::in_place);
  std::set<absl::string_view> written;
  for (const LogEntry& entry : *log) {
    if (entry.removed_chunk_count > 0) {
      changes->removed.push_back({entry.document_id, entry.removed_first_chunk,
                                  entry.removed_chunk_count});
    }
    written.insert(entry.document_id);
  }
  for (const absl::string_view id : written) {
    absl::StatusOr<DocumentInfo> document = store.GetDocument(collection, id);
    if (absl::IsNotFound(document.status())) continue;  // deleted since
    if (!document.ok()) return document.status();
    changes->documents.emplace(id, *std::move(document));
  }
  return changes;
}

// Makes what `name` could read what it can read after the changes.
void Apply(const Changes& changes, const std::string& name,
           ChunkBitmap* chunks) {
  for (const Changes::Removed& removed : changes.removed) {
    chunks->RemoveRange(removed.first_chunk, removed.chunk_count);
  }
  for (const auto& [id, document] : changes.documents) {
    if (std::binary_search(document.readers.begin(), document.readers.end(),
                           name)) {
      chunks->AddRange(document.first_chunk, document.chunk_count);
    } else {
      chunks->RemoveRange(document.first_chunk, document.chunk_count);
    }
  }
}

// The chunks of all that lists one of the names, in the store's index.
absl::StatusOr<ChunkBitmap> LookUp(
    const StoreSnapshot& store, const std::string& collection,
    absl::Span<const std::string> names,
    std::chrono::steady_clock::time_point deadline,
    const std::stop_token& stop) {
  ChunkBitmap listed;
  absl::Status in_time = CheckTime(deadline, stop);
  uint64_t visited = 0;
  for (const std::string& name : names) {
    if (!in_time.ok()) return in_time;
    const absl::Status scanned = store.ForEachReadable(
        collection, name, /*after=*/"", [&](const ReadableDocument& document) {
          listed.AddRange(document.first_chunk, document.chunk_count);
          if (++visited % kCheckEvery == 0) {
            in_time = CheckTime(deadline, stop);
          }
          return in_time.ok();
        });
    if (!scanned.ok()) return scanned;
  }
  if (!in_time.ok()) return in_time;
  return listed;
}

// Takes out what the viewer may see no longer. The indexes follow the store
// after a moment; until then a document that was replaced stays as it was for
// those who may see what it is now.
absl::Status RemoveRevoked(const CollectionView& view, const StoreSnapshot& now,
                           const Viewer& viewer,
                           std::chrono::steady_clock::time_point deadline,
                           const std::stop_token& stop, ChunkBitmap* readable) {
  const absl::StatusOr<CollectionCounters> counters =
      now.Counters(view.collection());
  if (!counters.ok()) return counters.status();
  if (counters->last_sequence <= view.sequence()) return absl::OkStatus();
  const auto changes = ReadChanges(now, view.collection(), view.sequence());
  if (!changes.ok()) return changes.status();
  if (!changes->has_value()) {
    const auto listed =
        LookUp(now, view.collection(), viewer.names(), deadline, stop);
    if (!listed.ok()) return listed.status();
    readable->IntersectWith(*listed);
    return absl::OkStatus();
  }
  const auto& documents = (*changes)->documents;
  for (const auto& [id, document] : documents) {
    if (viewer.Sees(document.readers)) continue;
    readable->RemoveRange(document.first_chunk, document.chunk_count);
  }
  for (const Changes::Removed& removed : (*changes)->removed) {
    const auto document = documents.find(removed.document_id);
    if (document != documents.end() && viewer.Sees(document->second.readers)) {
      continue;
    }
    readable->RemoveRange(removed.first_chunk, removed.chunk_count);
  }
  return absl::OkStatus();
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
    const CollectionView& view, const Viewer& viewer,
    std::chrono::steady_clock::time_point deadline,
    const std::stop_token& stop) {
  auto readable = std::make_shared<ChunkBitmap>();
  // By the sequence since when: names mostly share it.
  std::map<Sequence, std::optional<Changes>> changes;
  for (const std::string& name : viewer.names()) {
    Sequence since = 0;
    Chunks known = Find(name, view.sequence(), &since);
    if (known != nullptr && since < view.sequence()) {
      auto read = changes.find(since);
      if (read == changes.end()) {
        auto since_then = ReadChanges(view.store(), view.collection(), since);
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
      auto listed = LookUp(view.store(), view.collection(),
                           absl::MakeConstSpan(&name, 1), deadline, stop);
      if (!listed.ok()) return listed.status();
      known = std::make_shared<const ChunkBitmap>(*std::move(listed));
      Remember(name, view.sequence(), known);
    }
    readable->UniteWith(*known);
  }
  const absl::Status status = RemoveRevoked(view, *store_->snapshot(), viewer,
                                            deadline, stop, readable.get());
  if (!status.ok()) return status;
  return readable;
}

}  // namespace braid::retrieval
