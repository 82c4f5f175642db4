// Rows of vectors that never change, and which of them are deleted.
#ifndef BRAID_RETRIEVAL_DENSE_SEGMENT_H_
#define BRAID_RETRIEVAL_DENSE_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "retrieval/chunk_bitmap.h"
#include "retrieval/dense/top_k.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// Bounds of what a segment and its file may hold.
inline constexpr size_t kMaxDimension = 65536;
inline constexpr size_t kMaxSegmentRows = size_t{1} << 23;

// Deleted rows of one segment. Rows past the end are not deleted.
class DeadRows {
 public:
  bool Contains(size_t row) const {
    return row / 64 < words_.size() && ((words_[row / 64] >> (row % 64)) & 1);
  }
  // `row` is not deleted yet.
  void Add(size_t row) {
    if (row / 64 >= words_.size()) words_.resize(row / 64 + 1);
    words_[row / 64] |= uint64_t{1} << (row % 64);
    ++count_;
  }
  size_t count() const { return count_; }
  // Bit i of word w is row 64 w + i.
  const std::vector<uint64_t>& words() const { return words_; }

  friend bool operator==(const DeadRows&, const DeadRows&) = default;

 private:
  std::vector<uint64_t> words_;
  size_t count_ = 0;
};

// What a search may return from a segment.
struct RowFilter {
  const DeadRows* dead = nullptr;        // null: none deleted
  const ChunkBitmap* allowed = nullptr;  // null: all allowed

  bool Keeps(size_t row, ChunkId id) const {
    return (dead == nullptr || !dead->Contains(row)) &&
           (allowed == nullptr || allowed->Contains(id));
  }
};

enum class SegmentKind : uint32_t { kFlat = 1, kHnsw = 2 };

// How the body of a segment's file begins.
struct SegmentHeader {
  uint32_t kind = 0;  // SegmentKind
  uint32_t dimension = 0;
  uint64_t rows = 0;
};
static_assert(sizeof(SegmentHeader) == 16);

// Thread-safe: immutable.
class Segment {
 public:
  virtual ~Segment() = default;

  virtual SegmentKind kind() const = 0;
  virtual size_t rows() const = 0;
  virtual ChunkId id(size_t row) const = 0;
  virtual const float* vector(size_t row) const = 0;  // [dimension]

  // Pushes the best rows that `filter` keeps. `query` is [dimension].
  // `ef_search` is the width of a graph search. Throws what FAISS throws.
  virtual void Search(const float* query, size_t ef_search,
                      const RowFilter& filter, TopK& best) const = 0;

  // The row of a chunk that is not in `dead`; nothing if there is none.
  std::optional<size_t> FindRow(ChunkId chunk, const DeadRows& dead) const;
  // Does now what the first FindRow would wait for: sorts the rows, where they
  // do not ascend already.
  void IndexRows() const;

 private:
  // Row at this place in the order of ids.
  size_t RowAt(size_t place) const {
    return by_id_.empty() ? place : by_id_[place];
  }

  mutable std::once_flag indexed_;
  // [rows], by id and row; empty if the ids ascend with the rows.
  mutable std::vector<uint32_t> by_id_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_SEGMENT_H_
