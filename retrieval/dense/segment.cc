#include "retrieval/dense/segment.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace braid::retrieval {

void Segment::IndexRows() const {
  std::call_once(indexed_, [this] {
    size_t row = 1;
    while (row < rows() && id(row - 1) < id(row)) ++row;
    if (row >= rows()) return;
    std::vector<uint32_t> order(rows());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [this](uint32_t a, uint32_t b) { return id(a) < id(b); });
    by_id_ = std::move(order);
  });
}

std::optional<size_t> Segment::FindRow(ChunkId chunk,
                                       const DeadRows& dead) const {
  IndexRows();
  size_t begin = 0;
  for (size_t count = rows(); count > 0;) {
    const size_t half = count / 2;
    if (id(RowAt(begin + half)) < chunk) {
      begin += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  // A chunk that was replaced has a dead row beside its live one.
  for (; begin < rows() && id(RowAt(begin)) == chunk; ++begin) {
    if (!dead.Contains(RowAt(begin))) return RowAt(begin);
  }
  return std::nullopt;
}

}  // namespace braid::retrieval
