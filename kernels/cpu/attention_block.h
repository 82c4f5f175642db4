// How the queries of CachedAttention are cut into tasks.
#ifndef BRAID_KERNELS_CPU_ATTENTION_BLOCK_H_
#define BRAID_KERNELS_CPU_ATTENTION_BLOCK_H_

#include <cstddef>

#include "kernels/attention.h"
#include "kernels/cpu/scratch.h"
#include "kernels/kv_cache.h"

namespace braid::kernels {

// Pages of a segment. The fewer, the more threads share one sequence; each
// segment costs a partial result for every query.
inline constexpr size_t kSegmentPages = 8;
inline constexpr size_t kSegmentTokens = kSegmentPages * kKvPageTokens;

// Some of the queries of one key/value head: with `group` query heads for each,
// row r is head kv_head * group + r % group of token r / group.
struct QueryBlock {
  size_t kv_head;
  size_t row;
  size_t rows;
};

inline size_t GroupOf(const CachedAttentionParams& p) {
  return p.heads / p.cache->shape().kv_heads;
}

// How many keys row r of a block sees.
inline size_t VisibleKeys(const CachedAttentionParams& p, size_t row) {
  return p.cache->tokens() - p.m + row / GroupOf(p) + 1;
}

inline size_t PagesFor(size_t keys) {
  return (keys + kKvPageTokens - 1) / kKvPageTokens;
}

inline size_t SegmentsFor(size_t keys) {
  return (keys + kSegmentTokens - 1) / kSegmentTokens;
}

// Of a block's gathered queries: head_dim, padded with zeros.
inline size_t QueryStride(const CachedAttentionParams& p) {
  return RoundUpToLine(p.cache->shape().head_dim);
}

// Floats of a row's partial result: the sum of weight * value, padded, then the
// maximum and the sum of the weights.
inline size_t PartialFloats(const CachedAttentionParams& p) {
  return p.cache->layout().padded_value_dim() + kKvPanel;
}

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_CPU_ATTENTION_BLOCK_H_
