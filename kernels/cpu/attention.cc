#include "kernels/attention.h"

#include <cstring>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// One head of one sequence. Scores are kept for one tile of queries at a time.
void AttendSequence(const PackedAttentionParams& p, size_t sequence,
                    size_t head) {
  const size_t first = p.offsets[sequence];
  const size_t length = p.offsets[sequence + 1] - first;
  const size_t dim = p.head_dim;
  const size_t at = first * p.ld + head * dim;
  const size_t ld_scores = PanelsFor(length) * kPanel;
  const size_t ld_result = PanelsFor(dim) * kPanel;

  float* keys = ThreadScratch(ld_scores * dim + ld_result * length +
                              kMaxRows * (ld_scores + ld_result));
  float* values = keys + ld_scores * dim;
  float* scores = values + ld_result * length;
  float* result = scores + kMaxRows * ld_scores;
  PackRows(p.k + at, p.ld, length, dim, keys);
  PackColumns(p.v + at, p.ld, length, dim, values);

  const size_t tiles = (length + kMaxRows - 1) / kMaxRows;
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t row = tile * length / tiles;
    const size_t rows = (tile + 1) * length / tiles - row;
    TileOfPanels<Layout::kRowMajor>(
        rows, PanelsFor(length), p.q + at + row * p.ld, p.ld, keys,
        dim * kPanel, dim, scores, ld_scores, kOntoNothing);
    float inverse_sums[kMaxRows];
    for (size_t r = 0; r < rows; ++r) {
      float* row_scores = scores + r * ld_scores;
      ScaleInPlace(row_scores, length, p.scale);
      const float max = MaxOf(row_scores, length);
      inverse_sums[r] = 1.0f / ExpSum(row_scores, length, max);
    }
    TileOfPanels<Layout::kRowMajor>(rows, PanelsFor(dim), scores, ld_scores,
                                    values, length * kPanel, length, result,
                                    ld_result, kOntoNothing);
    for (size_t r = 0; r < rows; ++r) {
      ScaleInPlace(result + r * ld_result, dim, inverse_sums[r]);
      std::memcpy(p.out + (first + row + r) * p.ldo + head * dim,
                  result + r * ld_result, dim * sizeof(float));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(AttendSequence);
}  // namespace

void PackedAttention(const PackedAttentionParams& params, ThreadPool* pool) {
  if (params.heads == 0) return;
  ParallelFor(pool, params.num_sequences * params.heads, 1,
              [&](size_t begin, size_t end) {
                for (size_t i = begin; i < end; ++i) {
                  HWY_DYNAMIC_DISPATCH(AttendSequence)
                  (params, i / params.heads, i % params.heads);
                }
              });
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
