// Sealed vectors: found through a graph over 8-bit codes, scored in f32.
#ifndef BRAID_RETRIEVAL_DENSE_HNSW_SEGMENT_H_
#define BRAID_RETRIEVAL_DENSE_HNSW_SEGMENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/dense/codes.h"
#include "retrieval/dense/envelope.h"
#include "retrieval/dense/equal_rows.h"
#include "retrieval/dense/graph.h"
#include "retrieval/dense/mapped_file.h"
#include "retrieval/dense/segment.h"

namespace braid::retrieval {

// As in DenseIndexOptions.
struct HnswOptions {
  int m;
  int ef_construction;
};

// Inner product. Everything lies in the segment's file, which is mapped: the
// memory that a segment needs of its own is 16 bytes a node, and a search that
// the machine has no memory for is slower, not impossible.
//
// Each distinct vector is held once: a graph node stands for all rows with the
// same vector. Repeated text is common (licences, navigation, empty sections),
// and as nodes of their own a few hundred equal vectors would have only each
// other as neighbours, an island that no search enters or leaves.
class HnswSegment : public Segment {
 public:
  struct Built {
    std::shared_ptr<const HnswSegment> segment;
    EnvelopeSeal seal;
    // Row i of the segment is row order[i] of what it was built from.
    std::vector<uint32_t> order;
  };
  // Builds a segment over `rows` (not none) in the new file `path`, on the
  // calling thread alone. The file is synced, its name is not (SyncDirectory).
  // Returns CANCELLED soon after `stop` becomes true. On an error no file is
  // left.
  static absl::StatusOr<Built> Build(const std::string& path, size_t dimension,
                                     const HnswOptions& options,
                                     const std::vector<SourceRow>& rows,
                                     const std::atomic<bool>& stop);
  // Takes the segment of an envelope whose SegmentHeader has been read.
  // DATA_LOSS if it is not one of `rows` vectors of this dimension.
  static absl::StatusOr<std::shared_ptr<const HnswSegment>> Map(
      size_t dimension, size_t rows, const EnvelopeReader& reader);

  SegmentKind kind() const override { return SegmentKind::kHnsw; }
  size_t rows() const override { return rows_; }
  ChunkId id(size_t row) const override { return ids_[row]; }
  const float* vector(size_t row) const override {
    return vectors_ + nodes_[row] * dimension_;
  }
  void Search(const float* query, size_t ef_search, const RowFilter& filter,
              TopK& best) const override;

 private:
  HnswSegment(MappedFile file, size_t dimension, size_t rows, size_t nodes);
  // DATA_LOSS if rows and nodes contradict each other.
  absl::Status Check() const;
  size_t CountKept(const RowFilter& filter) const;
  bool KeepsAnyRow(size_t node, const RowFilter& filter) const;
  // The `width` nodes with the best codes, in no order, of those with a row
  // that the filter keeps.
  std::vector<uint32_t> ScanCodes(const int8_t* query, size_t width,
                                  const RowFilter& filter) const;

  MappedFile file_;
  size_t dimension_;
  size_t rows_;
  size_t node_count_;
  // All of these lie in file_.
  const float* vectors_;        // [nodes, dimension]
  CodeRows codes_;              // [nodes]
  const ChunkId* ids_;          // [rows]
  const uint32_t* nodes_;       // [rows], ascending
  const uint32_t* first_rows_;  // [nodes + 1], into ids_
  std::unique_ptr<Graph> graph_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_HNSW_SEGMENT_H_
