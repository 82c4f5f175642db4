#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

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
    TileOfPanels<Layout::kRowMajor>(rows, PanelsFor(length),
                                    p.q + at + row * p.ld, p.ld, keys,
                                    dim * kPanel, dim, scores, ld_scores,
                                    /*accumulate=*/false);
    float inverse_sums[kMaxRows];
    for (size_t r = 0; r < rows; ++r) {
      float* row_scores = scores + r * ld_scores;
      ScaleInPlace(row_scores, length, p.scale);
      const float max = MaxOf(row_scores, length);
      inverse_sums[r] = 1.0f / ExpSum(row_scores, length, max);
    }
    TileOfPanels<Layout::kRowMajor>(rows, PanelsFor(dim), scores, ld_scores,
                                    values, length * kPanel, length, result,
                                    ld_result, /*accumulate=*/false);
    for (size_t r = 0; r < rows; ++r) {
      ScaleInPlace(result + r * ld_result, dim, inverse_sums[r]);
      std::memcpy(p.out + (first + row + r) * p.ldo + head * dim,
                  result + r * ld_result, dim * sizeof(float));
    }
  }
}

// The running softmax of one query over blocks of keys: `result` holds the sum
// of exp(score - max) * value, `sum` the sum of exp(score - max).
struct RunningSoftmax {
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;

  // Turns scores into weights relative to the new maximum, and rescales what
  // was added up before.
  HWY_INLINE void Add(float* scores, size_t count, float* result, size_t dim) {
    const float new_max = HWY_MAX(max, MaxOf(scores, count));
    if (new_max > max && sum > 0.0f) {
      const float correction = std::exp(max - new_max);
      sum *= correction;
      ScaleInPlace(result, dim, correction);
    }
    max = new_max;
    sum += ExpSum(scores, count, max);
  }
};

constexpr size_t kKeyBlock = 128;  // keys per step of the running softmax

// Query heads of one key/value head, for tokens [token, token + tokens) of the
// new ones, as matrix products.
void AttendCacheBlock(const CachedAttentionParams& p, size_t kv_head,
                      size_t token, size_t tokens) {
  const size_t dim = p.head_dim;
  const size_t value_dim = p.value_dim;
  const size_t heads_per_kv = p.heads / p.kv_heads;
  const size_t rows = tokens * heads_per_kv;
  const size_t ld_result = PanelsFor(value_dim) * kPanel;
  const size_t past = p.t - p.m;

  const size_t query_floats = RoundUpToLine(rows * dim);
  const size_t state_floats = RoundUpToLine(rows * 2);
  float* queries = ThreadScratch(query_floats + state_floats +
                                 rows * ld_result + kKeyBlock * dim +
                                 kKeyBlock * ld_result + kMaxRows * kKeyBlock);
  float* states = queries + query_floats;  // maximum and sum of each row
  float* result = states + state_floats;
  float* keys = result + rows * ld_result;
  float* values = keys + kKeyBlock * dim;
  float* scores = values + kKeyBlock * ld_result;

  for (size_t row = 0; row < rows; ++row) {
    const size_t head = kv_head * heads_per_kv + row % heads_per_kv;
    std::memcpy(queries + row * dim,
                p.q + (token + row / heads_per_kv) * p.ldq + head * dim,
                dim * sizeof(float));
    ScaleInPlace(queries + row * dim, dim, p.scale);
    const RunningSoftmax empty;
    states[2 * row] = empty.max;
    states[2 * row + 1] = empty.sum;
  }
  std::memset(result, 0, rows * ld_result * sizeof(float));

  const size_t end = past + token + tokens;  // keys that the last token sees
  const size_t tiles = (rows + kMaxRows - 1) / kMaxRows;
  for (size_t key = 0; key < end; key += kKeyBlock) {
    const size_t count = std::min(kKeyBlock, end - key);
    PackRows(p.k_cache + key * p.ldkv + kv_head * dim, p.ldkv, count, dim,
             keys);
    PackColumns(p.v_cache + key * p.ldv + kv_head * value_dim, p.ldv, count,
                value_dim, values);
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t row = tile * rows / tiles;
      const size_t tile_rows = (tile + 1) * rows / tiles - row;
      const size_t last_token = token + (row + tile_rows - 1) / heads_per_kv;
      if (past + last_token < key) continue;  // sees none of these keys
      TileOfPanels<Layout::kRowMajor>(tile_rows, PanelsFor(count),
                                      queries + row * dim, dim, keys,
                                      dim * kPanel, dim, scores, kKeyBlock,
                                      /*accumulate=*/false);
      for (size_t r = 0; r < tile_rows; ++r) {
        const size_t last_key = past + token + (row + r) / heads_per_kv;
        const size_t visible =
            last_key < key ? 0 : std::min(count, last_key - key + 1);
        float* row_scores = scores + r * kKeyBlock;
        if (visible > 0) {
          RunningSoftmax softmax{states[2 * (row + r)],
                                 states[2 * (row + r) + 1]};
          softmax.Add(row_scores, visible, result + (row + r) * ld_result,
                      value_dim);
          states[2 * (row + r)] = softmax.max;
          states[2 * (row + r) + 1] = softmax.sum;
        }
        std::memset(row_scores + visible, 0, (count - visible) * sizeof(float));
      }
      TileOfPanels<Layout::kRowMajor>(tile_rows, PanelsFor(value_dim), scores,
                                      kKeyBlock, values, count * kPanel, count,
                                      result + row * ld_result, ld_result,
                                      /*accumulate=*/true);
    }
  }
  for (size_t row = 0; row < rows; ++row) {
    const size_t head = kv_head * heads_per_kv + row % heads_per_kv;
    float* row_result = result + row * ld_result;
    ScaleInPlace(row_result, value_dim, 1.0f / states[2 * row + 1]);
    std::memcpy(p.out + (token + row / heads_per_kv) * p.ldo + head * value_dim,
                row_result, value_dim * sizeof(float));
  }
}

// The same for one token and `heads` query heads of one key/value head: keys
// are packed one panel at a time and values not at all, so that both are read
// once, and used for these few heads while they are in the level-1 cache. Every
// sum is taken in the order of AttendCacheBlock: a token's result does not
// depend on how many come with it.
void AttendCacheToken(const CachedAttentionParams& p, size_t first_head,
                      size_t heads, size_t token) {
  const size_t dim = p.head_dim;
  const size_t value_dim = p.value_dim;
  const size_t kv_head = first_head / (p.heads / p.kv_heads);
  const float* q = p.q + token * p.ldq + first_head * dim;
  float* out = p.out + token * p.ldo + first_head * value_dim;
  const size_t state_floats = RoundUpToLine(2 * heads);
  const size_t query_floats = RoundUpToLine(heads * dim);
  float* scores = ThreadScratch(heads * kKeyBlock + state_floats +
                                query_floats + kPanel * dim);
  float* states = scores + heads * kKeyBlock;
  float* queries = states + state_floats;
  float* keys = queries + query_floats;
  std::memcpy(queries, q, heads * dim * sizeof(float));
  ScaleInPlace(queries, heads * dim, p.scale);
  for (size_t h = 0; h < heads; ++h) {
    const RunningSoftmax empty;
    states[2 * h] = empty.max;
    states[2 * h + 1] = empty.sum;
  }
  std::memset(out, 0, heads * value_dim * sizeof(float));

  const size_t end = p.t - p.m + token + 1;
  for (size_t key = 0; key < end; key += kKeyBlock) {
    const size_t count = std::min(kKeyBlock, end - key);
    for (size_t j = 0; j < count; j += kPanel) {
      PackRows(p.k_cache + (key + j) * p.ldkv + kv_head * dim, p.ldkv,
               std::min(kPanel, count - j), dim, keys);
      for (size_t h = 0; h < heads; h += kMaxRows) {
        TileOfPanels<Layout::kRowMajor>(
            std::min(kMaxRows, heads - h), 1, queries + h * dim, dim, keys, 0,
            dim, scores + h * kKeyBlock + j, kKeyBlock, /*accumulate=*/false);
      }
    }
    for (size_t h = 0; h < heads; ++h) {
      RunningSoftmax softmax{states[2 * h], states[2 * h + 1]};
      softmax.Add(scores + h * kKeyBlock, count, out + h * value_dim,
                  value_dim);
      states[2 * h] = softmax.max;
      states[2 * h + 1] = softmax.sum;
    }
    for (size_t j = 0; j < count; ++j) {
      const float* v = p.v_cache + (key + j) * p.ldv + kv_head * value_dim;
      for (size_t h = 0; h < heads; ++h) {
        AddScaledTo(out + h * value_dim, v, value_dim,
                    scores[h * kKeyBlock + j]);
      }
    }
  }
  for (size_t h = 0; h < heads; ++h) {
    ScaleInPlace(out + h * value_dim, value_dim, 1.0f / states[2 * h + 1]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(AttendSequence);
HWY_EXPORT(AttendCacheBlock);
HWY_EXPORT(AttendCacheToken);

// Rows (token x query head) that share one packing of a key block.
constexpr size_t kRowsPerBlock = 96;
// Below this many rows per key/value head, packing keys costs more than it
// saves.
constexpr size_t kMinRowsToPack = 12;
// Query heads of one key/value head that one task takes at least: with fewer,
// the tasks would mostly read the same keys again.
constexpr size_t kMinHeadsPerTask = 4;

void For(ThreadPool* pool, size_t n,
         const std::function<void(size_t, size_t)>& body) {
  if (pool == nullptr) {
    body(0, n);
  } else {
    pool->ParallelFor(n, 1, body);
  }
}

}  // namespace

void PackedAttention(const PackedAttentionParams& params, ThreadPool* pool) {
  if (params.heads == 0) return;
  For(pool, params.num_sequences * params.heads, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      HWY_DYNAMIC_DISPATCH(AttendSequence)
      (params, i / params.heads, i % params.heads);
    }
  });
}

void CachedAttention(const CachedAttentionParams& given, ThreadPool* pool) {
  if (given.m == 0 || given.heads == 0) return;
  CachedAttentionParams params = given;
  if (params.value_dim == 0) params.value_dim = params.head_dim;
  if (params.ldv == 0) params.ldv = params.ldkv;
  const size_t heads_per_kv = params.heads / params.kv_heads;
  if (params.m * heads_per_kv < kMinRowsToPack || params.m == 1) {
    // With fewer key/value heads than threads (latent attention has one), the
    // query heads of each are dealt to several tasks.
    const size_t groups = params.m * params.kv_heads;
    const size_t threads =
        pool == nullptr ? 1 : static_cast<size_t>(pool->num_threads());
    const size_t parts = std::clamp<size_t>(
        (threads + groups - 1) / groups, 1,
        std::max<size_t>(1, heads_per_kv / kMinHeadsPerTask));
    For(pool, groups * parts, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const size_t group = i / parts;
        const size_t first = i % parts * heads_per_kv / parts;
        const size_t last = (i % parts + 1) * heads_per_kv / parts;
        HWY_DYNAMIC_DISPATCH(AttendCacheToken)
        (params, group % params.kv_heads * heads_per_kv + first, last - first,
         group / params.kv_heads);
      }
    });
    return;
  }
  const size_t tokens_per_block =
      std::max<size_t>(1, kRowsPerBlock / heads_per_kv);
  const size_t blocks = (params.m + tokens_per_block - 1) / tokens_per_block;
  // The latest tokens see the most keys: they go first, so that no thread is
  // left alone with the longest task at the end.
  For(pool, blocks * params.kv_heads, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const size_t block = blocks - 1 - i / params.kv_heads;
      const size_t token = block * tokens_per_block;
      HWY_DYNAMIC_DISPATCH(AttendCacheBlock)
      (params, i % params.kv_heads, token,
       std::min(tokens_per_block, params.m - token));
    }
  });
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
