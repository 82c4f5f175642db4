// Sealed vectors: searched through a FAISS HNSW graph.
#ifndef BRAID_RETRIEVAL_DENSE_HNSW_SEGMENT_H_
#define BRAID_RETRIEVAL_DENSE_HNSW_SEGMENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/dense/segment.h"

namespace faiss {
struct IndexHNSWFlat;
}

namespace braid::retrieval {

// Where a row of a new segment comes from.
struct SourceRow {
  ChunkId id = 0;
  const float* vector = nullptr;  // [dimension]
};

// Inner product. The vectors lie inside the FAISS index, each distinct one
// once: a graph node stands for all rows with the same vector. Repeated text is
// common (licences, navigation, empty sections), and as nodes of their own a
// few hundred equal vectors would have only each other as neighbours, an island
// that no search enters or leaves.
class HnswSegment : public Segment {
 public:
  // Builds a graph over `rows` on the calling thread alone. Returns CANCELLED
  // soon after `stop` becomes true. The rows of the
  // result are in another order: see id(). 0.2-0.4 ms per row of 384 values.
  static absl::StatusOr<std::shared_ptr<const HnswSegment>> Build(
      size_t dimension, int m, int ef_construction, std::vector<SourceRow> rows,
      const std::atomic<bool>& stop);
  // Reads what WriteVectors wrote. DATA_LOSS if it is not such a graph over
  // ids.size() vectors of this dimension.
  static absl::StatusOr<std::shared_ptr<const HnswSegment>> Read(
      size_t dimension, std::vector<ChunkId> ids, EnvelopeReader& reader);
  ~HnswSegment() override;

  SegmentKind kind() const override { return SegmentKind::kHnsw; }
  size_t rows() const override { return ids_.size(); }
  ChunkId id(size_t row) const override { return ids_[row]; }
  const float* vector(size_t row) const override {
    return vectors_ + nodes_[row] * dimension_;
  }
  void Search(const float* query, size_t ef_search, const RowFilter& filter,
              TopK& best) const override;
  absl::Status WriteVectors(EnvelopeWriter& writer) const override;

 private:
  HnswSegment(size_t dimension, std::vector<ChunkId> ids,
              std::vector<uint32_t> nodes,
              std::unique_ptr<faiss::IndexHNSWFlat> index);
  size_t CountKept(const RowFilter& filter) const;
  bool KeepsAnyRow(size_t node, const RowFilter& filter) const;
  // Nodes near the query, best first or not; only such that have a row that the
  // filter keeps.
  std::vector<int64_t> SearchGraph(const float* query, size_t width,
                                   const RowFilter* filter) const;

  size_t dimension_;
  std::vector<ChunkId> ids_;          // [rows]
  std::vector<uint32_t> nodes_;       // [rows], ascending
  std::vector<uint32_t> first_rows_;  // [nodes + 1], into ids_
  std::unique_ptr<faiss::IndexHNSWFlat> index_;
  const float* vectors_;  // in index_
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_HNSW_SEGMENT_H_
