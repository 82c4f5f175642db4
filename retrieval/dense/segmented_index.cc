// Writing and publishing; background work is in rebuild.cc.
#include "retrieval/dense/segmented_index.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "retrieval/dense/segment_file.h"

namespace braid::retrieval {

SegmentedIndex::SegmentedIndex(std::string directory,
                               const DenseIndexOptions& options)
    : directory_(std::move(directory)),
      options_(options),
      builder_(options.dimension) {
  const std::lock_guard lock(mutex_);
  committed_.dimension = options_.dimension;
  StartTail();
  PublishSnapshot();
}

SegmentedIndex::~SegmentedIndex() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

absl::Status SegmentedIndex::Load() {
  auto manifest = ReadManifest(directory_);
  if (!manifest.ok()) return manifest.status();
  if (manifest->dimension != options_.dimension) {
    return absl::DataLossError(absl::StrCat(directory_, ": has dimension ",
                                            manifest->dimension, " instead of ",
                                            options_.dimension));
  }
  const std::lock_guard lock(mutex_);
  std::vector<ChunkId> live;
  for (size_t i = 0; i < manifest->segments.size(); ++i) {
    const ManifestSegment& listed = manifest->segments[i];
    const std::string path = SegmentPath(directory_, listed.file);
    auto segment = MapSegmentFile(path, listed.seal, options_.dimension);
    if (!segment.ok()) return segment.status();
    const Segment& rows = **segment;

    // A flat segment at the end that is not full is the tail again.
    const bool is_tail = i + 1 == manifest->segments.size() &&
                         rows.kind() == SegmentKind::kFlat &&
                         rows.rows() < options_.seal_vectors;
    Entry entry = NewEntry();
    if (!is_tail) entry.segment = *segment;
    entry.dead = listed.dead;
    entry.dead_changed = true;
    entry.file = listed.file;
    entry.seal = listed.seal;
    entry.file_rows = rows.rows();
    size_t dead = 0;
    for (size_t row = 0; row < rows.rows(); ++row) {
      if (is_tail) builder_.Append(rows.id(row), rows.vector(row));
      if (entry.dead.Contains(row)) {
        ++dead;
        continue;
      }
      live.push_back(rows.id(row));
      if (is_tail) tail_rows_[rows.id(row)] = static_cast<uint32_t>(row);
    }
    if (dead != entry.dead.count()) {
      return absl::DataLossError(
          absl::StrCat(path, ": deletes past the last row"));
    }
    if (is_tail) {
      tail_ = std::move(entry);
    } else {
      sealed_.push_back(std::move(entry));
    }
  }
  std::sort(live.begin(), live.end());
  const auto twice = std::adjacent_find(live.begin(), live.end());
  if (twice != live.end()) {
    return absl::DataLossError(
        absl::StrCat(directory_, ": chunk ", *twice, " is there twice"));
  }
  RemoveOrphans(directory_, *manifest, 0);
  next_file_ = manifest->next_file;
  committed_ = *std::move(manifest);
  PublishEntries();
  return absl::OkStatus();
}

SegmentedIndex::Entry SegmentedIndex::NewEntry() {
  Entry entry;
  entry.number = next_number_++;
  entry.published_dead = std::make_shared<const DeadRows>();
  return entry;
}

SegmentedIndex::Entry* SegmentedIndex::Find(uint64_t number) {
  if (tail_.number == number) return &tail_;
  for (Entry& entry : sealed_) {
    if (entry.number == number) return &entry;
  }
  return nullptr;
}

absl::Status SegmentedIndex::Add(absl::Span<const ChunkId> chunks,
                                 absl::Span<const float> vectors) {
  if (vectors.size() != chunks.size() * options_.dimension) {
    return absl::InvalidArgumentError(
        absl::StrCat(chunks.size(), " chunks of dimension ", options_.dimension,
                     " have ", vectors.size(), " values"));
  }
  absl::flat_hash_set<ChunkId> seen;
  for (const ChunkId chunk : chunks) {
    if (chunk == 0 || !seen.insert(chunk).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("chunk id ", chunk, " is zero or given twice"));
    }
  }
  if (!std::all_of(vectors.begin(), vectors.end(),
                   [](float value) { return std::isfinite(value); })) {
    return absl::InvalidArgumentError(
        "a vector has a value that is not finite");
  }
  const std::lock_guard lock(mutex_);
  if (builder_.rows() + chunks.size() > kMaxSegmentRows) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "more than ", kMaxSegmentRows, " vectors are not published yet"));
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    MarkDead(chunks[i]);
    Append(chunks[i], vectors.data() + i * options_.dimension);
    if (TailIsFull()) SealTail();
  }
  uncommitted_ += chunks.size();
  return absl::OkStatus();
}

absl::Status SegmentedIndex::Delete(ChunkId chunk) {
  const std::lock_guard lock(mutex_);
  if (MarkDead(chunk)) ++uncommitted_;
  return absl::OkStatus();
}

void SegmentedIndex::Append(ChunkId chunk, const float* vector) {
  tail_rows_[chunk] = static_cast<uint32_t>(builder_.rows());
  builder_.Append(chunk, vector);
}

std::optional<SegmentedIndex::Location> SegmentedIndex::Locate(ChunkId chunk) {
  const auto in_tail = tail_rows_.find(chunk);
  if (in_tail != tail_rows_.end()) return Location{&tail_, in_tail->second};
  for (Entry& entry : sealed_) {
    const std::optional<size_t> row = entry.segment->FindRow(chunk, entry.dead);
    if (row.has_value()) return Location{&entry, *row};
  }
  return std::nullopt;
}

bool SegmentedIndex::MarkDead(ChunkId chunk) {
  const std::optional<Location> location = Locate(chunk);
  if (!location.has_value()) return false;
  location->entry->dead.Add(location->row);
  location->entry->dead_changed = true;
  if (location->entry == &tail_) tail_rows_.erase(chunk);
  return true;
}

void SegmentedIndex::Publish() {
  const std::lock_guard lock(mutex_);
  PublishEntries();
}

void SegmentedIndex::PublishEntries() {
  if (TailIsFull()) {
    SealTail();
  } else if (builder_.rows() >= options_.seal_vectors ||
             (builder_.rows() > 0 && tail_.dead.count() == builder_.rows())) {
    CompactTail();
  }
  std::erase_if(sealed_, [](const Entry& entry) {
    return entry.dead.count() == entry.segment->rows();
  });
  for (Entry& entry : sealed_) {
    entry.published = entry.segment;
    if (std::exchange(entry.dead_changed, false)) {
      entry.published_dead = std::make_shared<const DeadRows>(entry.dead);
    }
  }
  if (tail_.published == nullptr ||
      tail_.published->rows() != builder_.rows()) {
    tail_.published = builder_.View();
  }
  if (std::exchange(tail_.dead_changed, false)) {
    tail_.published_dead = std::make_shared<const DeadRows>(tail_.dead);
  }
  PublishSnapshot();
  if (!Plan().empty()) StartWorker();
  changed_.notify_all();
}

bool SegmentedIndex::TailIsFull() const {
  return builder_.rows() >= options_.seal_vectors &&
         builder_.rows() - tail_.dead.count() >= options_.seal_vectors / 2 + 1;
}

void SegmentedIndex::SealTail() {
  tail_.segment = builder_.View();
  sealed_.push_back(std::exchange(tail_, Entry{}));
  StartTail();
  // Where the disk is full it stays in memory; the commit will say so.
  (void)MoveToFile(sealed_.back());
}

void SegmentedIndex::CompactTail() {
  const std::shared_ptr<const FlatSegment> rows = builder_.View();
  const DeadRows dead = std::exchange(tail_, Entry{}).dead;
  StartTail();
  for (size_t row = 0; row < rows->rows(); ++row) {
    if (!dead.Contains(row)) Append(rows->id(row), rows->vector(row));
  }
}

void SegmentedIndex::StartTail() {
  tail_ = NewEntry();
  builder_ = FlatBuilder(options_.dimension);
  tail_rows_.clear();
}

void SegmentedIndex::PublishSnapshot() {
  std::vector<SegmentedSnapshot::Part> parts;
  const auto add = [&parts](const Entry& entry) {
    if (entry.published == nullptr || entry.published->rows() == 0) return;
    parts.push_back({entry.published, entry.published_dead});
  };
  for (const Entry& entry : sealed_) add(entry);
  add(tail_);
  auto snapshot = std::make_shared<const SegmentedSnapshot>(
      options_.dimension, static_cast<size_t>(options_.hnsw_ef_search),
      std::move(parts));
  const std::lock_guard lock(snapshot_mutex_);
  snapshot_.swap(snapshot);
}

absl::Status SegmentedIndex::SaveEntry(Entry& entry, const Segment& rows) {
  if (entry.file != 0 && entry.file_rows == rows.rows()) {
    return absl::OkStatus();
  }
  const uint64_t file = next_file_++;
  auto seal = WriteFlatSegmentFile(SegmentPath(directory_, file), rows,
                                   options_.dimension);
  if (!seal.ok()) return seal.status();
  entry.file = file;
  entry.seal = *seal;
  entry.file_rows = rows.rows();
  return absl::OkStatus();
}

absl::Status SegmentedIndex::MoveToFile(Entry& entry) {
  if (absl::Status status = SaveEntry(entry, *entry.segment); !status.ok()) {
    return status;
  }
  auto mapped = MapSegmentFile(SegmentPath(directory_, entry.file), entry.seal,
                               options_.dimension);
  if (!mapped.ok()) {
    entry.file = 0;  // not to be trusted: written again at the next try
    return mapped.status();
  }
  if (entry.published == entry.segment) entry.published = *mapped;
  entry.segment = *std::move(mapped);
  return absl::OkStatus();
}

absl::Status SegmentedIndex::Commit(Sequence sequence) {
  const std::lock_guard lock(mutex_);
  Manifest manifest;
  manifest.dimension = options_.dimension;
  manifest.sequence = sequence;
  bool moved = false;
  for (Entry& entry : sealed_) {
    if (entry.file == 0 || entry.file_rows != entry.segment->rows()) {
      if (absl::Status status = MoveToFile(entry); !status.ok()) return status;
      moved = true;
    }
    manifest.segments.push_back({entry.file, entry.seal, entry.dead});
  }
  if (builder_.rows() > 0) {
    if (absl::Status status = SaveEntry(tail_, *builder_.View());
        !status.ok()) {
      return status;
    }
    manifest.segments.push_back({tail_.file, tail_.seal, tail_.dead});
  }
  if (moved) PublishSnapshot();
  if (manifest.sequence != committed_.sequence ||
      manifest.segments != committed_.segments) {
    manifest.next_file = next_file_;
    if (absl::Status status = WriteManifest(directory_, manifest);
        !status.ok()) {
      return status;
    }
    RemoveOrphans(directory_, manifest, building_file_);
    committed_ = std::move(manifest);
  }
  uncommitted_ = 0;
  return absl::OkStatus();
}

size_t SegmentedIndex::uncommitted() const {
  const std::lock_guard lock(mutex_);
  return uncommitted_;
}

Sequence SegmentedIndex::committed_sequence() const {
  const std::lock_guard lock(mutex_);
  return committed_.sequence;
}

std::shared_ptr<const DenseSnapshot> SegmentedIndex::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

}  // namespace braid::retrieval
