#include <algorithm>
#include <cstring>

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
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"
#include "kernels/cpu/page_reader-inl.h"
#include "kernels/cpu/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

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

const std::byte* KeysOf(const CachedAttentionParams& p, size_t page,
                        size_t kv_head) {
  return p.cache->page(page) + p.cache->layout().keys(kv_head);
}

// Partial results of a block's rows over one segment, after which the keys at
// `next` will be read. `scores`: [kTileRows, 128], scratch memory.
template <class Reader>
void ReadSegment(const CachedAttentionParams& p, const QueryBlock& block,
                 size_t segment, const std::byte* next, Reader& reader,
                 float* scores, float* partials) {
  const size_t padded_dim = p.cache->layout().padded_value_dim();
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
    reader.Load(page,
                page + 1 < pages ? KeysOf(p, page + 1, block.kv_head) : next,
                visible(block.rows - 1));
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t row = tile * block.rows / tiles;
      const size_t rows = (tile + 1) * block.rows / tiles - row;
      const size_t count = visible(row + rows - 1);
      if (count == 0) continue;
      const size_t panels = PanelsFor(count);
      reader.Scores(row, rows, panels, scores);
      for (size_t r = 0; r < rows; ++r) {
        float* row_scores = scores + r * kKvPageTokens;
        float* partial = partials + (row + r) * stride;
        const size_t seen = visible(row + r);
        if (seen > 0) {
          RunningSoftmax softmax = SoftmaxOf(partial, padded_dim);
          AddScores(row_scores, seen, &softmax, partial, padded_dim);
          SetSoftmax(softmax, padded_dim, partial);
        }
        // AddScores has set zeros up to the end of the panel.
        for (size_t i = PanelsFor(seen) * kPanel; i < panels * kPanel; ++i) {
          row_scores[i] = 0.0f;
        }
      }
      reader.AddValues(rows, count, scores, partials + row * stride, stride);
    }
  }
}

// Scaled, so that powers of two of the scores are what the softmax needs, one
// after another.
void GatherQueries(const CachedAttentionParams& p, const QueryBlock& block,
                   float* queries) {
  constexpr float kLog2E = 1.44269504088896340736f;
  const size_t dim = p.cache->shape().head_dim;
  const size_t stride = QueryStride(p);
  const size_t group = GroupOf(p);
  for (size_t r = 0; r < block.rows; ++r) {
    const size_t row = block.row + r;
    float* to = queries + r * stride;
    std::memcpy(
        to,
        p.q + row / group * p.ldq + (block.kv_head * group + row % group) * dim,
        dim * sizeof(float));
    std::memset(to + dim, 0, (stride - dim) * sizeof(float));
    ScaleInPlace(to, dim, p.scale * kLog2E);
  }
}

// Rows up to which 16-bit numbers are widened as they are read; more rows share
// one widening.
constexpr size_t kMaxStreamedRows = StreamReader::kTileRows;
constexpr size_t kScoreFloats =
    HWY_MAX(kMaxStreamedRows, kMaxRows) * kKvPageTokens;

// Memory of a block's task, beside partial results: queries, scores, reader.
template <class Reader>
size_t TaskFloats(const CachedAttentionParams& p, const QueryBlock& block) {
  return block.rows * QueryStride(p) + kScoreFloats + Reader::Floats(p, block);
}

// Partial results of the block's rows over one segment, [rows][PartialFloats].
template <class Reader>
void AttendSegmentWith(const CachedAttentionParams& p, const QueryBlock& block,
                       size_t segment, float* partials) {
  float* queries = ThreadScratch(TaskFloats<Reader>(p, block));
  float* scores = queries + block.rows * QueryStride(p);
  GatherQueries(p, block, queries);
  Reader reader(p, block, queries, scores + kScoreFloats);
  // As the tasks come: the next head of the segment, or the next segment.
  const size_t page = segment * kSegmentPages;
  const size_t next_page =
      HWY_MIN(page + kSegmentPages, PagesFor(p.cache->tokens()) - 1);
  const std::byte* next = block.kv_head + 1 < p.cache->shape().kv_heads
                              ? KeysOf(p, page, block.kv_head + 1)
                              : KeysOf(p, next_page, 0);
  ReadSegment(p, block, segment, next, reader, scores, partials);
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
template <class Reader>
void AttendBlockWith(const CachedAttentionParams& p, const QueryBlock& block) {
  const size_t padded_dim = p.cache->layout().padded_value_dim();
  const size_t stride = PartialFloats(p);
  float* totals =
      ThreadScratch(2 * block.rows * stride + TaskFloats<Reader>(p, block));
  float* partials = totals + block.rows * stride;
  float* queries = partials + block.rows * stride;
  float* scores = queries + block.rows * QueryStride(p);
  GatherQueries(p, block, queries);
  Reader reader(p, block, queries, scores + kScoreFloats);
  ClearPartials(block.rows, padded_dim, stride, totals);
  const size_t last_row = block.row + block.rows - 1;
  for (size_t segment = 0; segment < SegmentsFor(VisibleKeys(p, last_row));
       ++segment) {
    const size_t next_page =
        HWY_MIN((segment + 1) * kSegmentPages, PagesFor(p.cache->tokens()) - 1);
    ReadSegment(p, block, segment, KeysOf(p, next_page, block.kv_head), reader,
                scores, partials);
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

// Which reader serves a block. For one type of cache they give the same bits.
enum class ReaderKind { kStream, kI8, kWide };
ReaderKind ReaderFor(const CachedAttentionParams& p, const QueryBlock& block) {
  const KvShape& shape = p.cache->shape();
  if (shape.values_in_keys || shape.type == KvType::kF32) {
    return ReaderKind::kWide;
  }
  if (shape.type == KvType::kInt8) return ReaderKind::kI8;
  return block.rows > kMaxStreamedRows ? ReaderKind::kWide
                                       : ReaderKind::kStream;
}

void AttendSegment(const CachedAttentionParams& p, const QueryBlock& block,
                   size_t segment, float* partials) {
  switch (ReaderFor(p, block)) {
    case ReaderKind::kStream:
      return AttendSegmentWith<StreamReader>(p, block, segment, partials);
    case ReaderKind::kI8:
      return AttendSegmentWith<I8Reader>(p, block, segment, partials);
    case ReaderKind::kWide:
      return AttendSegmentWith<WideReader>(p, block, segment, partials);
  }
}

void AttendBlock(const CachedAttentionParams& p, const QueryBlock& block) {
  switch (ReaderFor(p, block)) {
    case ReaderKind::kStream:
      return AttendBlockWith<StreamReader>(p, block);
    case ReaderKind::kI8:
      return AttendBlockWith<I8Reader>(p, block);
    case ReaderKind::kWide:
      return AttendBlockWith<WideReader>(p, block);
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
    ParallelFor(pool, plan.blocks * kv_heads, 1, [&](size_t begin, size_t end) {
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
  ParallelFor(
      pool, plan.segments * plan.blocks * kv_heads, 1,
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
  ParallelFor(plan.segments * rows * stride < kInlineWork ? nullptr : pool,
              rows, 1, [&](size_t begin, size_t end) {
                for (size_t i = begin; i < end; ++i) {
                  HWY_DYNAMIC_DISPATCH(MergeSegments)
                  (p, i / plan.rows, i % plan.rows, partials + i * stride,
                   rows * stride);
                }
              });
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
