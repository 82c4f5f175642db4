// Rows with the same vector.
#ifndef BRAID_RETRIEVAL_DENSE_EQUAL_ROWS_H_
#define BRAID_RETRIEVAL_DENSE_EQUAL_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "retrieval/types.h"

namespace braid::retrieval {

// Where a row of a new segment comes from.
struct SourceRow {
  ChunkId id = 0;
  const float* vector = nullptr;  // [dimension]
};

struct EqualRows {
  // [rows]: a permutation that brings rows with equal vectors together, groups
  // in the order of their first rows, rows of a group in their own order.
  std::vector<uint32_t> order;
  // [groups + 1], into `order`; the last is the number of rows.
  std::vector<uint32_t> first_rows;
};

// Vectors are equal that have the same bytes.
EqualRows GroupEqualRows(const std::vector<SourceRow>& rows, size_t dimension);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_EQUAL_ROWS_H_
