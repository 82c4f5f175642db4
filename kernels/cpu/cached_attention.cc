#include <algorithm>
#include <cstring>
#include <functional>

#include "kernels/attention.h"
#include "kernels/cpu/attention_block.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cached_attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/kv_panels-inl.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"
#include "kernels/cpu/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

constexpr size_t kPageFloats = kKvPageTokens * kPanel;  // of a panel of values
// Rows up to which keys and values are widened as they are read; more rows
// share one widening into scratch memory.
constexpr size_t kMaxStreamedRows = 2 * kStreamRows;
static_assert(kPanel == kKvPanel);

// A reader gives the products of one page of one head. Load(page, next, count)
// chooses the page, of which `count` tokens are used; `next` will follow.

// Reads keys and values as they are kept, once.
template <typename T>
class StreamReader {
 public:
  static constexpr size_t kTileRows = kMaxStreamedRows;

  StreamReader(const CachedAttentionParams& p, size_t kv_head)
      : cache_(*p.cache), kv_head_(kv_head) {}

  void Load(size_t page, size_t next, size_t) {
    const KvPageLayout& layout = cache_.layout();
    const std::byte* base = cache_.page(page);
    keys_ = reinterpret_cast<const T*>(base + layout.keys(kv_head_));
    values_ = reinterpret_cast<const T*>(base + layout.values(kv_head_));
    next_keys_ = cache_.page(next) + layout.keys(kv_head_);
  }

  void Scores(size_t rows, size_t panels, const float* queries,
              float* scores) const {
    const size_t dim = cache_.shape().head_dim;
    StreamPanels(rows, panels, queries, dim, keys_, dim * kPanel, dim, scores,
                 kKvPageTokens, /*accumulate=*/false, AsBytes(values_));
  }

  void AddValues(size_t rows, size_t count, const float* weights, float* result,
                 size_t ld_result) const {
    StreamPanels(rows, cache_.layout().padded_value_dim() / kPanel, weights,
                 kKvPageTokens, values_, kPageFloats, count, result, ld_result,
                 /*accumulate=*/true, next_keys_);
  }

 private:
  const KvCache& cache_;
  const size_t kv_head_;
  const T* keys_ = nullptr;
  const T* values_ = nullptr;
  const std::byte* next_keys_ = nullptr;
};

// Widens a page into scratch memory, for many rows to use. What is f32 already
// is used where it lies.
class WideReader {
 public:
  static constexpr size_t kTileRows = kMaxRows;

  // Of the scratch memory.
  static size_t Floats(const CachedAttentionParams& p) {
    return kKvPageTokens *
           (p.cache->shape().head_dim + p.cache->layout().padded_value_dim());
  }

  WideReader(const CachedAttentionParams& p, size_t kv_head, float* scratch)
      : cache_(*p.cache),
        kv_head_(kv_head),
        wide_keys_(scratch),
        wide_values_(scratch + kKvPageTokens * p.cache->shape().head_dim) {}

  void Load(size_t page, size_t, size_t count) {
    const KvPageLayout& layout = cache_.layout();
    const std::byte* base = cache_.page(page);
    const std::byte* keys = base + layout.keys(kv_head_);
    const std::byte* values = base + layout.values(kv_head_);
    switch (cache_.shape().type) {
      case KvType::kF32:
        keys_ = reinterpret_cast<const float*>(keys);
        values_ = reinterpret_cast<const float*>(values);
        break;
      case KvType::kF16:
        WidenPage(reinterpret_cast<const hwy::float16_t*>(keys),
                  reinterpret_cast<const hwy::float16_t*>(values), count);
        break;
      case KvType::kInt8:
        WidenPage(reinterpret_cast<const int8_t*>(keys),
                  reinterpret_cast<const int8_t*>(values), count);
        break;
    }
    if (cache_.shape().values_in_keys) TransposeKeys(count);
  }

  void Scores(size_t rows, size_t panels, const float* queries,
              float* scores) const {
    const size_t dim = cache_.shape().head_dim;
    TileOfPanels<Layout::kRowMajor>(rows, panels, queries, dim, keys_,
                                    dim * kPanel, dim, scores, kKvPageTokens,
                                    /*accumulate=*/false);
  }

  void AddValues(size_t rows, size_t count, const float* weights, float* result,
                 size_t ld_result) const {
    TileOfPanels<Layout::kRowMajor>(
        rows, cache_.layout().padded_value_dim() / kPanel, weights,
        kKvPageTokens, values_, kPageFloats, count, result, ld_result,
        /*accumulate=*/true);
  }

 private:
  template <typename T>
  void WidenPage(const T* keys, const T* values, size_t count) {
    WidenAll(keys, PanelsFor(count) * kPanel * cache_.shape().head_dim,
             wide_keys_);
    keys_ = wide_keys_;
    if (cache_.shape().values_in_keys) return;
    for (size_t i = 0; i < cache_.layout().padded_value_dim(); i += kPanel) {
      WidenAll(values + i * kKvPageTokens, count * kPanel,
               wide_values_ + i * kKvPageTokens);
    }
    values_ = wide_values_;
  }

  // The values from the keys of the same tokens.
  void TransposeKeys(size_t count) {
    const size_t dim = cache_.shape().head_dim;
    const size_t value_dim = cache_.shape().value_dim;
    for (size_t token = 0; token < count; token += kPanel) {
      const float* from = keys_ + token * dim;  // [head_dim][16]
      for (size_t i = 0; i < value_dim; i += kPanel) {
        float* to = wide_values_ + i * kKvPageTokens + token * kPanel;
        const size_t width = HWY_MIN(kPanel, value_dim - i);
        const size_t whole = width / 4 * 4;
        for (size_t j = 0; j < whole; j += 4) {
          for (size_t t = 0; t < kPanel; t += 4) {
            Transpose4x4(from + (i + j) * kPanel + t, kPanel,
                         to + t * kPanel + j);
          }
        }
        for (size_t j = whole; j < kPanel; ++j) {
          for (size_t t = 0; t < kPanel; ++t) {
            to[t * kPanel + j] = j < width ? from[(i + j) * kPanel + t] : 0.0f;
          }
        }
      }
    }
    values_ = wide_values_;
  }

  const KvCache& cache_;
  const size_t kv_head_;
  float* const wide_keys_;
  float* const wide_values_;
  const float* keys_ = nullptr;
  const float* values_ = nullptr;
};

// The scores and softmax of a partial result (attention_block.h).
HWY_INLINE RunningSoftmax SoftmaxOf(const float* partial, size_t padded_dim) {
  return {.max = partial[padded_dim], .sum = partial[padded_dim + 1]};
}
HWY_INLINE void SetSoftmax(const RunningSoftmax& softmax, size_t padded_dim,
                           float* partial) {
  partial[padded_dim] = softmax.max;
  partial[padded_dim + 1] = softmax.sum;
}
HWY_INLINE void ClearPartials(size_t rows, size_t padded_dim, size_t stride,
                              float* partials) {
  std::memset(partials, 0, rows * stride * sizeof(float));
  for (size_t r = 0; r < rows; ++r) {
    SetSoftmax(RunningSoftmax(), padded_dim, partials + r * stride);
  }
}

// Partial results of a block's rows over one segment, from queries that are
// scaled and lie together. `scores`: [kTileRows, 128], scratch memory.
template <class Reader>
void AttendSegmentWith(const CachedAttentionParams& p, const QueryBlock& block,
                       size_t segment, const float* queries, Reader& reader,
                       float* scores, float* partials) {
  const KvCache& cache = *p.cache;
  const KvPageLayout& layout = cache.layout();
  const size_t dim = cache.shape().head_dim;
  const size_t padded_dim = layout.padded_value_dim();
  const size_t stride = PartialFloats(p);
  ClearPartials(block.rows, padded_dim, stride, partials);

  const size_t last_row = block.row + block.rows - 1;
  const size_t pages = HWY_MIN(PagesFor(VisibleKeys(p, last_row)),
                               (segment + 1) * kSegmentPages);
  const size_t tiles = (block.rows + Reader::kTileRows - 1) / Reader::kTileRows;
  for (size_t page = segment * kSegmentPages; page < pages; ++page) {
    const size_t first_key = page * kKvPageTokens;
    // Of the page's keys, what row `r` of the block sees.
    const auto visible = [&](size_t r) {
      const size_t keys = VisibleKeys(p, block.row + r);
      return keys <= first_key ? size_t{0}
                               : HWY_MIN(keys - first_key, kKvPageTokens);
    };
    reader.Load(page, HWY_MIN(page + 1, pages - 1), visible(block.rows - 1));
    const float* key_scales = nullptr;
    const float* value_scales = nullptr;
    if (cache.shape().type == KvType::kInt8) {
      const std::byte* base = cache.page(page);
      key_scales = reinterpret_cast<const float*>(
          base + layout.key_scales(block.kv_head));
      value_scales = cache.shape().values_in_keys
                         ? key_scales
                         : reinterpret_cast<const float*>(
                               base + layout.value_scales(block.kv_head));
    }
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t row = tile * block.rows / tiles;
      const size_t rows = (tile + 1) * block.rows / tiles - row;
      const size_t count = visible(row + rows - 1);
      if (count == 0) continue;
      reader.Scores(rows, PanelsFor(count), queries + row * dim, scores);
      for (size_t r = 0; r < rows; ++r) {
        float* row_scores = scores + r * kKvPageTokens;
        float* partial = partials + (row + r) * stride;
        const size_t seen = visible(row + r);
        if (seen > 0) {
          RunningSoftmax softmax = SoftmaxOf(partial, padded_dim);
          AddScores(row_scores, seen, key_scales, value_scales, &softmax,
                    partial, padded_dim);
          SetSoftmax(softmax, padded_dim, partial);
        }
        // AddScores has set zeros up to the end of the panel.
        const size_t set = PanelsFor(seen) * kPanel;
        for (size_t i = set; i < count; ++i) row_scores[i] = 0.0f;
      }
      reader.AddValues(rows, count, scores, partials + row * stride, stride);
    }
  }
}

// Memory of a task: all but the partial results.
struct TaskScratch {
  float* queries;
  float* scores;
  float* wide;
};
size_t TaskFloats(const CachedAttentionParams& p, const QueryBlock& block) {
  return RoundUpToLine(block.rows * p.cache->shape().head_dim) +
         HWY_MAX(kMaxStreamedRows, kMaxRows) * kKvPageTokens +
         WideReader::Floats(p);
}
TaskScratch Carve(const CachedAttentionParams& p, const QueryBlock& block,
                  float* memory) {
  TaskScratch scratch;
  scratch.queries = memory;
  scratch.scores =
      memory + RoundUpToLine(block.rows * p.cache->shape().head_dim);
  scratch.wide =
      scratch.scores + HWY_MAX(kMaxStreamedRows, kMaxRows) * kKvPageTokens;
  return scratch;
}

void GatherQueries(const CachedAttentionParams& p, const QueryBlock& block,
                   float* queries) {
  constexpr float kLog2E = 1.44269504088896340736f;
  const size_t dim = p.cache->shape().head_dim;
  const size_t group = GroupOf(p);
  for (size_t r = 0; r < block.rows; ++r) {
    const size_t row = block.row + r;
    std::memcpy(
        queries + r * dim,
        p.q + row / group * p.ldq + (block.kv_head * group + row % group) * dim,
        dim * sizeof(float));
  }
  ScaleInPlace(queries, block.rows * dim, p.scale * kLog2E);
}

void AttendSegmentWith(const CachedAttentionParams& p, const QueryBlock& block,
                       size_t segment, const TaskScratch& scratch,
                       float* partials) {
  const KvShape& shape = p.cache->shape();
  if (block.rows > kMaxStreamedRows || shape.values_in_keys ||
      shape.type == KvType::kF32) {
    WideReader reader(p, block.kv_head, scratch.wide);
    AttendSegmentWith(p, block, segment, scratch.queries, reader,
                      scratch.scores, partials);
  } else if (shape.type == KvType::kF16) {
    StreamReader<hwy::float16_t> reader(p, block.kv_head);
    AttendSegmentWith(p, block, segment, scratch.queries, reader,
                      scratch.scores, partials);
  } else {
    StreamReader<int8_t> reader(p, block.kv_head);
    AttendSegmentWith(p, block, segment, scratch.queries, reader,
                      scratch.scores, partials);
  }
}

void WriteRow(const CachedAttentionParams& p, size_t kv_head, size_t row,
              float* partial) {
  const size_t group = GroupOf(p);
  const size_t value_dim = p.cache->shape().value_dim;
  const size_t padded_dim = p.cache->layout().padded_value_dim();
  ScaleInPlace(partial, padded_dim, 1.0f / SoftmaxOf(partial, padded_dim).sum);
  std::memcpy(
      p.out + row / group * p.ldo + (kv_head * group + row % group) * value_dim,
      partial, value_dim * sizeof(float));
}

// Partial results of the block's rows over one segment: [rows][PartialFloats].
void AttendSegment(const CachedAttentionParams& p, const QueryBlock& block,
                   size_t segment, float* partials) {
  const TaskScratch scratch =
      Carve(p, block, ThreadScratch(TaskFloats(p, block)));
  GatherQueries(p, block, scratch.queries);
  AttendSegmentWith(p, block, segment, scratch, partials);
}

// The results of one row from its partial ones, `step` floats apart.
void MergeSegments(const CachedAttentionParams& p, size_t kv_head, size_t row,
                   const float* partials, size_t step) {
  const size_t padded_dim = p.cache->layout().padded_value_dim();
  const size_t stride = PartialFloats(p);
  float* total = ThreadScratch(stride);
  ClearPartials(1, padded_dim, stride, total);
  RunningSoftmax softmax;
  for (size_t i = 0; i < SegmentsFor(VisibleKeys(p, row)); ++i) {
    const float* partial = partials + i * step;
    Merge(SoftmaxOf(partial, padded_dim), partial, &softmax, total, padded_dim);
  }
  SetSoftmax(softmax, padded_dim, total);
  WriteRow(p, kv_head, row, total);
}

// The results of a block's rows.
void AttendBlock(const CachedAttentionParams& p, const QueryBlock& block) {
  const size_t padded_dim = p.cache->layout().padded_value_dim();
  const size_t stride = PartialFloats(p);
  float* totals = ThreadScratch(2 * block.rows * stride + TaskFloats(p, block));
  float* partials = totals + block.rows * stride;
  const TaskScratch scratch = Carve(p, block, partials + block.rows * stride);
  GatherQueries(p, block, scratch.queries);
  ClearPartials(block.rows, padded_dim, stride, totals);
  const size_t last_row = block.row + block.rows - 1;
  for (size_t segment = 0; segment < SegmentsFor(VisibleKeys(p, last_row));
       ++segment) {
    AttendSegmentWith(p, block, segment, scratch, partials);
    for (size_t r = 0; r < block.rows; ++r) {
      if (VisibleKeys(p, block.row + r) <= segment * kSegmentTokens) continue;
      float* total = totals + r * stride;
      const float* partial = partials + r * stride;
      RunningSoftmax softmax = SoftmaxOf(total, padded_dim);
      Merge(SoftmaxOf(partial, padded_dim), partial, &softmax, total,
            padded_dim);
      SetSoftmax(softmax, padded_dim, total);
    }
  }
  for (size_t r = 0; r < block.rows; ++r) {
    WriteRow(p, block.kv_head, block.row + r, totals + r * stride);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(AttendSegment);
HWY_EXPORT(MergeSegments);
HWY_EXPORT(AttendBlock);

// What the queries of a block and their results may take: about half of a
// level-2 cache. The other half is for the page.
constexpr size_t kBlockFloats = size_t{128} << 10;
constexpr size_t kMaxBlockRows = 192;
// With fewer rows, reading and widening the keys costs too much beside using
// them.
constexpr size_t kGoodBlockRows = 48;
constexpr size_t kMinBlockRows = 12;
// So that no thread waits long for the last one.
constexpr size_t kTasksPerThread = 4;
// Multiply-adds that take less time than waking a thread.
constexpr size_t kInlineWork = size_t{1} << 19;
// Partial results of all rows and segments.
constexpr size_t kMaxPartialFloats = size_t{8} << 20;

// All rows of one key/value head are cut into `blocks`, and, if there are not
// enough of those, the keys into segments.
struct Plan {
  size_t rows;
  size_t blocks;
  size_t segments;
  bool split;

  QueryBlock Block(size_t kv_head, size_t i) const {
    const size_t row = i * rows / blocks;
    return {kv_head, row, (i + 1) * rows / blocks - row};
  }
};

Plan MakePlan(const CachedAttentionParams& p, size_t threads) {
  const KvShape& shape = p.cache->shape();
  Plan plan;
  plan.rows = p.m * GroupOf(p);
  plan.segments = SegmentsFor(p.cache->tokens());
  const size_t wanted = threads == 1 ? 1 : threads * kTasksPerThread;
  const auto set_rows = [&](size_t rows) {
    plan.blocks = (plan.rows + rows - 1) / rows;
  };
  const auto tasks = [&] {
    return shape.kv_heads * plan.blocks * (plan.split ? plan.segments : 1);
  };
  size_t rows =
      std::clamp(kBlockFloats / (shape.head_dim + 2 * PartialFloats(p)),
                 kGoodBlockRows, kMaxBlockRows);
  plan.split = false;
  set_rows(rows);
  while (tasks() < wanted && rows > kGoodBlockRows) {
    rows = std::max(rows / 2, kGoodBlockRows);
    set_rows(rows);
  }
  plan.split = tasks() < wanted && plan.segments > 1 &&
               shape.kv_heads * plan.rows * plan.segments * PartialFloats(p) <=
                   kMaxPartialFloats;
  while (tasks() < threads && rows > kMinBlockRows) {
    rows = std::max(rows / 2, kMinBlockRows);
    set_rows(rows);
  }
  return plan;
}

void For(ThreadPool* pool, size_t n,
         const std::function<void(size_t, size_t)>& body) {
  if (pool == nullptr) {
    body(0, n);
  } else {
    pool->ParallelFor(n, 1, body);
  }
}

}  // namespace

void CachedAttention(const CachedAttentionParams& p, ThreadPool* pool) {
  if (p.m == 0 || p.heads == 0) return;
  const KvShape& shape = p.cache->shape();
  if (p.m * p.heads * p.cache->tokens() * shape.head_dim < kInlineWork) {
    pool = nullptr;
  }
  const size_t threads =
      pool == nullptr ? 1 : static_cast<size_t>(pool->num_threads());
  const Plan plan = MakePlan(p, threads);
  const size_t kv_heads = shape.kv_heads;
  if (!plan.split) {
    // The latest tokens see the most keys: they go first, so that no thread is
    // left alone with the longest task at the end.
    For(pool, plan.blocks * kv_heads, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        HWY_DYNAMIC_DISPATCH(AttendBlock)
        (p, plan.Block(i % kv_heads, plan.blocks - 1 - i / kv_heads));
      }
    });
    return;
  }
  // [segment][kv_head][row]
  const size_t stride = PartialFloats(p);
  const size_t rows = kv_heads * plan.rows;
  float* partials = SharedScratch(plan.segments * rows * stride);
  For(pool, plan.segments * plan.blocks * kv_heads,
      [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          const size_t kv_head = i / plan.blocks % kv_heads;
          const size_t segment = i / plan.blocks / kv_heads;
          const QueryBlock block = plan.Block(kv_head, i % plan.blocks);
          HWY_DYNAMIC_DISPATCH(AttendSegment)
          (p, block, segment,
           partials + ((segment * kv_heads + kv_head) * plan.rows + block.row) *
                          stride);
        }
      });
  For(plan.segments * rows * stride < kInlineWork ? nullptr : pool, rows,
      [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          HWY_DYNAMIC_DISPATCH(MergeSegments)
          (p, i / plan.rows, i % plan.rows, partials + i * stride,
           rows * stride);
        }
      });
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
