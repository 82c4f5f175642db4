// A published state of the index: segments and what is deleted in each.
#ifndef BRAID_RETRIEVAL_DENSE_SNAPSHOT_H_
#define BRAID_RETRIEVAL_DENSE_SNAPSHOT_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "retrieval/dense/dense_index.h"
#include "retrieval/dense/segment.h"

namespace braid::retrieval {

class SegmentedSnapshot : public DenseSnapshot {
 public:
  struct Part {
    std::shared_ptr<const Segment> segment;
    std::shared_ptr<const DeadRows> dead;
  };
  SegmentedSnapshot(size_t dimension, size_t ef_search,
                    std::vector<Part> parts);

  absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::Span<const float> vector, size_t limit,
      const ChunkBitmap* allowed) const override;
  absl::StatusOr<std::vector<ScoredChunk>> Score(
      absl::Span<const float> vector,
      absl::Span<const ChunkId> chunks) const override;
  std::vector<ChunkId> Chunks() const override;
  DenseStats Stats() const override;

 private:
  absl::Status Check(absl::Span<const float> vector) const;

  size_t dimension_;
  size_t ef_search_;
  std::vector<Part> parts_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_SNAPSHOT_H_
