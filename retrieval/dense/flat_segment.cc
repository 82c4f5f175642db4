#include "retrieval/dense/flat_segment.h"

#include <faiss/utils/distances.h>

#include <cstring>

namespace braid::retrieval {

void SearchExactly(const Segment& segment, size_t dimension, const float* query,
                   const RowFilter& filter, TopK& best) {
  const size_t rows = segment.rows();
  for (size_t row = 0; row < rows; ++row) {
    const ChunkId id = segment.id(row);
    if (!filter.Keeps(row, id)) continue;
    best.Push(id,
              faiss::fvec_inner_product(query, segment.vector(row), dimension));
  }
}

void FlatSegment::Search(const float* query, size_t /*ef_search*/,
                         const RowFilter& filter, TopK& best) const {
  SearchExactly(*this, dimension_, query, filter, best);
}

MappedFlatSegment::MappedFlatSegment(MappedFile file, size_t dimension,
                                     size_t rows)
    : file_(std::move(file)), dimension_(dimension), rows_(rows) {
  constexpr size_t kBegin = kEnvelopeHeaderBytes + sizeof(SegmentHeader);
  ids_ = file_.At<ChunkId>(kBegin);
  vectors_ = file_.At<float>(kBegin + rows * sizeof(ChunkId));
}

absl::StatusOr<std::shared_ptr<const Segment>> MappedFlatSegment::Map(
    size_t dimension, size_t rows, const EnvelopeReader& reader) {
  if (reader.remaining() !=
      rows * (sizeof(ChunkId) + dimension * sizeof(float))) {
    return absl::DataLossError("not of the size of its rows");
  }
  auto file = reader.Map();
  if (!file.ok()) return file.status();
  return std::shared_ptr<const Segment>(
      new MappedFlatSegment(*std::move(file), dimension, rows));
}

void MappedFlatSegment::Search(const float* query, size_t /*ef_search*/,
                               const RowFilter& filter, TopK& best) const {
  SearchExactly(*this, dimension_, query, filter, best);
}

void FlatBuilder::Append(ChunkId id, const float* vector) {
  if (rows_ % kFlatBlockRows == 0) {
    blocks_.push_back(std::make_shared<FlatBlock>(dimension_));
  }
  FlatBlock& block = *blocks_.back();
  const size_t row = rows_ % kFlatBlockRows;
  block.ids[row] = id;
  std::memcpy(block.vectors.get() + row * dimension_, vector,
              dimension_ * sizeof(float));
  ++rows_;
}

std::shared_ptr<const FlatSegment> FlatBuilder::View() const {
  return std::make_shared<const FlatSegment>(
      dimension_,
      std::vector<std::shared_ptr<const FlatBlock>>(blocks_.begin(),
                                                    blocks_.end()),
      rows_);
}

}  // namespace braid::retrieval
