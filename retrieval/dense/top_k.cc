#include "retrieval/dense/top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace braid::retrieval {
namespace {

bool Better(const ScoredChunk& a, const ScoredChunk& b) {
  return a.score > b.score || (a.score == b.score && a.chunk < b.chunk);
}

}  // namespace

void TopK::Push(ChunkId chunk, float score) {
  if (limit_ == 0) return;
  if (std::isnan(score)) score = -std::numeric_limits<float>::infinity();
  const ScoredChunk candidate{chunk, score};
  if (heap_.size() < limit_) {
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), Better);
  } else if (Better(candidate, heap_.front())) {
    std::pop_heap(heap_.begin(), heap_.end(), Better);
    heap_.back() = candidate;
    std::push_heap(heap_.begin(), heap_.end(), Better);
  }
}

std::vector<ScoredChunk> TopK::Take() {
  std::sort(heap_.begin(), heap_.end(), Better);
  return std::exchange(heap_, {});
}

}  // namespace braid::retrieval
