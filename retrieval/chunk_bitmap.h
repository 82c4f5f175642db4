// A set of chunk ids as a bitmap.
#ifndef BRAID_RETRIEVAL_CHUNK_BITMAP_H_
#define BRAID_RETRIEVAL_CHUNK_BITMAP_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "retrieval/types.h"

namespace braid::retrieval {

// Ids past the end are not in the set: an empty bitmap allows nothing, so a
// filter that could not be resolved fails closed.
class ChunkBitmap {
 public:
  bool Contains(ChunkId id) const {
    const uint64_t word = id / 64;
    return word < words_.size() && ((words_[word] >> (id % 64)) & 1) != 0;
  }
  void Add(ChunkId id) {
    if (id / 64 >= words_.size()) words_.resize(id / 64 + 1);
    words_[id / 64] |= uint64_t{1} << (id % 64);
  }
  void AddRange(ChunkId first, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) Add(first + i);
  }
  void Remove(ChunkId id) {
    if (id / 64 < words_.size()) words_[id / 64] &= ~(uint64_t{1} << (id % 64));
  }
  void RemoveRange(ChunkId first, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) Remove(first + i);
  }
  // Leaves what is in both.
  void IntersectWith(const ChunkBitmap& other) {
    if (words_.size() > other.words_.size()) {
      words_.resize(other.words_.size());
    }
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  // Adds what is in `other`.
  void UniteWith(const ChunkBitmap& other) {
    if (words_.size() < other.words_.size()) {
      words_.resize(other.words_.size());
    }
    for (size_t i = 0; i < other.words_.size(); ++i) {
      words_[i] |= other.words_[i];
    }
  }
  uint64_t Count() const {
    uint64_t count = 0;
    for (const uint64_t word : words_) count += std::popcount(word);
    return count;
  }
  // Bit i of word w is chunk 64 w + i.
  const std::vector<uint64_t>& words() const { return words_; }

  friend bool operator==(const ChunkBitmap&, const ChunkBitmap&) = default;

 private:
  std::vector<uint64_t> words_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_CHUNK_BITMAP_H_
