#include "retrieval/dense/snapshot.h"

#include <faiss/utils/distances.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/dense/top_k.h"

namespace braid::retrieval {

SegmentedSnapshot::SegmentedSnapshot(size_t dimension, size_t ef_search,
                                     std::vector<Part> parts)
    : dimension_(dimension), ef_search_(ef_search), parts_(std::move(parts)) {
  // Sealed segments are large and stay for long; a search should not be the one
  // to sort their rows. Fresh ones ascend.
  for (const Part& part : parts_) {
    if (part.segment->kind() != SegmentKind::kFlat) part.segment->IndexRows();
  }
}

absl::Status SegmentedSnapshot::Check(absl::Span<const float> vector) const {
  if (vector.size() != dimension_) {
    return absl::InvalidArgumentError(
        absl::StrCat("the query vector has ", vector.size(),
                     " dimensions, the index ", dimension_));
  }
  if (!std::all_of(vector.begin(), vector.end(),
                   [](float value) { return std::isfinite(value); })) {
    return absl::InvalidArgumentError(
        "the query vector has a value that is not finite");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ScoredChunk>> SegmentedSnapshot::Search(
    absl::Span<const float> vector, size_t limit,
    const ChunkBitmap* allowed) const try {
  if (absl::Status status = Check(vector); !status.ok()) return status;
  TopK best(limit);
  if (limit == 0) return best.Take();
  for (const Part& part : parts_) {
    const RowFilter filter{part.dead->count() > 0 ? part.dead.get() : nullptr,
                           allowed};
    part.segment->Search(vector.data(), ef_search_, filter, best);
  }
  return best.Take();
} catch (const std::exception& error) {
  return absl::InternalError(absl::StrCat("FAISS: ", error.what()));
}

absl::StatusOr<std::vector<ScoredChunk>> SegmentedSnapshot::Score(
    absl::Span<const float> vector, absl::Span<const ChunkId> chunks) const {
  if (absl::Status status = Check(vector); !status.ok()) return status;
  std::vector<ScoredChunk> scored;
  scored.reserve(chunks.size());
  for (const ChunkId chunk : chunks) {
    for (const Part& part : parts_) {
      const auto row = part.segment->FindRow(chunk, *part.dead);
      if (!row.has_value()) continue;
      scored.push_back(
          {chunk, faiss::fvec_inner_product(
                      vector.data(), part.segment->vector(*row), dimension_)});
      break;
    }
  }
  return scored;
}

std::vector<ChunkId> SegmentedSnapshot::Chunks() const {
  std::vector<ChunkId> chunks;
  for (const Part& part : parts_) {
    for (size_t row = 0; row < part.segment->rows(); ++row) {
      if (!part.dead->Contains(row)) chunks.push_back(part.segment->id(row));
    }
  }
  std::sort(chunks.begin(), chunks.end());
  return chunks;
}

DenseStats SegmentedSnapshot::Stats() const {
  DenseStats stats;
  for (const Part& part : parts_) {
    const uint64_t rows = part.segment->rows();
    stats.live += rows - part.dead->count();
    stats.deleted += part.dead->count();
    stats.vector_bytes += rows * dimension_ * sizeof(float);
    if (part.segment->kind() == SegmentKind::kFlat) {
      stats.flat_vectors += rows;
      ++stats.flat_segments;
    } else {
      stats.hnsw_vectors += rows;
      ++stats.hnsw_segments;
    }
  }
  return stats;
}

}  // namespace braid::retrieval
