// Fresh vectors: searched exactly, appended to without copying.
#ifndef BRAID_RETRIEVAL_DENSE_FLAT_SEGMENT_H_
#define BRAID_RETRIEVAL_DENSE_FLAT_SEGMENT_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/dense/envelope.h"
#include "retrieval/dense/mapped_file.h"
#include "retrieval/dense/segment.h"

namespace braid::retrieval {

// Rows are kept in blocks of this many.
inline constexpr size_t kFlatBlockRows = 256;

// Memory for kFlatBlockRows rows, filled from the front. Readers look only at
// rows below the count of their own segment, which were complete before that
// segment was published; the writer touches only rows above. So a block is
// shared between them without a lock and without a copy.
struct FlatBlock {
  explicit FlatBlock(size_t dimension)
      : ids(std::make_unique_for_overwrite<ChunkId[]>(kFlatBlockRows)),
        vectors(std::make_unique_for_overwrite<float[]>(kFlatBlockRows *
                                                        dimension)) {}
  std::unique_ptr<ChunkId[]> ids;
  std::unique_ptr<float[]> vectors;  // [kFlatBlockRows, dimension]
};

class FlatSegment : public Segment {
 public:
  FlatSegment(size_t dimension,
              std::vector<std::shared_ptr<const FlatBlock>> blocks, size_t rows)
      : dimension_(dimension), rows_(rows), blocks_(std::move(blocks)) {}

  SegmentKind kind() const override { return SegmentKind::kFlat; }
  size_t rows() const override { return rows_; }
  ChunkId id(size_t row) const override {
    return blocks_[row / kFlatBlockRows]->ids[row % kFlatBlockRows];
  }
  const float* vector(size_t row) const override {
    return blocks_[row / kFlatBlockRows]->vectors.get() +
           row % kFlatBlockRows * dimension_;
  }
  void Search(const float* query, size_t ef_search, const RowFilter& filter,
              TopK& best) const override;

 private:
  size_t dimension_;
  size_t rows_;
  std::vector<std::shared_ptr<const FlatBlock>> blocks_;
};

// A flat segment where it lies in its file: ids [rows], then vectors
// [rows, dimension].
class MappedFlatSegment : public Segment {
 public:
  // Takes the segment of an envelope whose SegmentHeader has been read.
  // DATA_LOSS if the body is not of this size.
  static absl::StatusOr<std::shared_ptr<const Segment>> Map(
      size_t dimension, size_t rows, const EnvelopeReader& reader);

  SegmentKind kind() const override { return SegmentKind::kFlat; }
  size_t rows() const override { return rows_; }
  ChunkId id(size_t row) const override { return ids_[row]; }
  const float* vector(size_t row) const override {
    return vectors_ + row * dimension_;
  }
  void Search(const float* query, size_t ef_search, const RowFilter& filter,
              TopK& best) const override;

 private:
  MappedFlatSegment(MappedFile file, size_t dimension, size_t rows);

  MappedFile file_;
  size_t dimension_;
  size_t rows_;
  const ChunkId* ids_;    // [rows], in file_
  const float* vectors_;  // [rows, dimension], in file_
};

// Grows a flat segment. Thread-compatible.
class FlatBuilder {
 public:
  explicit FlatBuilder(size_t dimension) : dimension_(dimension) {}

  // `vector` is [dimension].
  void Append(ChunkId id, const float* vector);
  size_t rows() const { return rows_; }
  // The rows so far. Costs one pointer per block.
  std::shared_ptr<const FlatSegment> View() const;

 private:
  size_t dimension_;
  size_t rows_ = 0;
  std::vector<std::shared_ptr<FlatBlock>> blocks_;
};

// Scores every row that `filter` keeps.
void SearchExactly(const Segment& segment, size_t dimension, const float* query,
                   const RowFilter& filter, TopK& best);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_FLAT_SEGMENT_H_
