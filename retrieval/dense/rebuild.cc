// The background work of the dense index: sealing, compaction, merging.
#include <malloc.h>

#include <algorithm>
#include <new>
#include <utility>

#include "retrieval/dense/maintenance.h"
#include "retrieval/dense/segmented_index.h"

namespace braid::retrieval {

std::vector<size_t> SegmentedIndex::Plan() const {
  std::vector<SealedState> states;
  states.reserve(sealed_.size());
  for (const Entry& entry : sealed_) {
    const size_t rows = entry.segment->rows();
    // What readers do not see yet waits until they do.
    const bool excluded = entry.excluded || entry.published != entry.segment;
    states.push_back({entry.segment->kind(), rows,
                      rows - entry.published_dead->count(), excluded});
  }
  return PlanRebuild(states, options_.seal_vectors);
}

bool SegmentedIndex::Settled() const { return !working_ && Plan().empty(); }

void SegmentedIndex::WaitUntilSettled() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return Settled(); });
}

void SegmentedIndex::StartWorker() {
  if (!worker_.joinable() && !stop_) worker_ = std::thread([this] { Work(); });
}

void SegmentedIndex::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !Plan().empty(); });
    if (stop_) return;
    working_ = true;
    {
      Rebuild rebuild = Begin(Plan());
      lock.unlock();
      auto result = Build(rebuild);
      lock.lock();
      building_file_ = 0;
      if (result.ok()) {
        Install(rebuild, *std::move(result));
      } else if (!stop_) {
        // No memory or no room, most likely. The segments stay as they are,
        // searchable, and are tried again at the next start.
        for (const Rebuild::Source& source : rebuild.sources) {
          Entry* entry = Find(source.number);
          if (entry != nullptr) entry->excluded = true;
        }
      }
    }
    // What the sources held is free now, unless a search still reads them: to
    // be given back, not kept for later.
    lock.unlock();
    malloc_trim(0);
    lock.lock();
    working_ = false;
    changed_.notify_all();
  }
}

SegmentedIndex::Rebuild SegmentedIndex::Begin(
    const std::vector<size_t>& positions) {
  Rebuild rebuild;
  rebuild.file = building_file_ = next_file_++;
  for (const size_t position : positions) {
    const Entry& entry = sealed_[position];
    rebuild.sources.push_back(
        {entry.number, entry.segment, entry.published_dead});
  }
  return rebuild;
}

absl::StatusOr<HnswSegment::Built> SegmentedIndex::Build(Rebuild& rebuild) const
    try {
  std::vector<SourceRow> rows;
  std::vector<Rebuild::Origin> origins;
  size_t count = 0;
  for (const Rebuild::Source& source : rebuild.sources) {
    count += source.segment->rows() - source.dead->count();
  }
  rows.reserve(count);
  origins.reserve(count);
  for (uint32_t i = 0; i < rebuild.sources.size(); ++i) {
    const Rebuild::Source& source = rebuild.sources[i];
    for (uint32_t row = 0; row < source.segment->rows(); ++row) {
      if (source.dead->Contains(row)) continue;
      rows.push_back({source.segment->id(row), source.segment->vector(row)});
      origins.push_back({i, row});
    }
  }
  auto result = HnswSegment::Build(
      SegmentPath(directory_, rebuild.file), options_.dimension,
      {options_.hnsw_m, options_.hnsw_ef_construction}, rows, stop_);
  if (!result.ok()) return result;
  rebuild.origins.reserve(count);
  for (const uint32_t row : result->order) {
    rebuild.origins.push_back(origins[row]);
  }
  return result;
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory for a new segment");
}

void SegmentedIndex::Install(const Rebuild& rebuild,
                             HnswSegment::Built result) {
  Entry entry = NewEntry();
  entry.file = rebuild.file;
  entry.seal = result.seal;
  entry.file_rows = result.segment->rows();
  // Rows deleted while the graph was being built. A source that is gone was
  // deleted as a whole.
  std::vector<const Entry*> sources;
  for (const Rebuild::Source& source : rebuild.sources) {
    sources.push_back(Find(source.number));
  }
  DeadRows published;
  for (size_t row = 0; row < rebuild.origins.size(); ++row) {
    const Rebuild::Origin& origin = rebuild.origins[row];
    const Entry* source = sources[origin.source];
    if (source == nullptr || source->published_dead->Contains(origin.row)) {
      published.Add(row);
    }
    if (source == nullptr || source->dead.Contains(origin.row)) {
      entry.dead.Add(row);
    }
  }
  entry.dead_changed = entry.dead.count() != published.count();
  entry.published_dead = std::make_shared<const DeadRows>(std::move(published));
  entry.segment = entry.published = std::move(result.segment);
  std::erase_if(sealed_, [&rebuild](const Entry& old) {
    return std::any_of(rebuild.sources.begin(), rebuild.sources.end(),
                       [&old](const Rebuild::Source& source) {
                         return source.number == old.number;
                       });
  });
  sealed_.push_back(std::move(entry));
  PublishSnapshot();
}

}  // namespace braid::retrieval
