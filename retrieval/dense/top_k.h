// The best few of a stream of scored chunks.
#ifndef BRAID_RETRIEVAL_DENSE_TOP_K_H_
#define BRAID_RETRIEVAL_DENSE_TOP_K_H_

#include <cstddef>
#include <vector>

#include "retrieval/types.h"

namespace braid::retrieval {

// Keeps the `limit` chunks with the largest scores; of equal scores the smaller
// chunk id wins, also at the boundary, so results do not depend on the order in
// which segments are visited. A score that is not a number counts as the worst.
class TopK {
 public:
  explicit TopK(size_t limit) : limit_(limit) {}

  void Push(ChunkId chunk, float score);
  // Best first. Leaves the object empty.
  std::vector<ScoredChunk> Take();
  size_t limit() const { return limit_; }

 private:
  size_t limit_;
  std::vector<ScoredChunk> heap_;  // worst on top
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_TOP_K_H_
