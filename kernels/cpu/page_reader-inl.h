// The products of queries with one page of a cache after another, for each way
// in which pages are kept and used. Included once per instruction set.
//
// A reader serves the rows of one block (attention_block.h):
//
//   Reader(p, block, queries, memory)  queries [rows][QueryStride], scaled;
//                                      memory of Floats(p, block) floats
//   Load(page, next, count)            chooses a page, of which `count` tokens
//                                      are used; the keys at `next` will follow
//   Scores(row, rows, panels, scores)  of rows [row, row + rows) of the block,
//                                      at most kTileRows, with the first
//                                      `panels` panels of keys: [rows][128]
//   AddValues(rows, count, weights, result, ld)
//                                      result += weights * values of `count`
//                                      tokens; weights [rows][128], zeros up to
//                                      the end of a panel
#if defined(BRAID_KERNELS_CPU_PAGE_READER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_PAGE_READER_INL_H_
#undef BRAID_KERNELS_CPU_PAGE_READER_INL_H_
#else
#define BRAID_KERNELS_CPU_PAGE_READER_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/attention_block.h"
#include "kernels/cpu/kv_products_f16-inl.h"
#include "kernels/cpu/kv_products_i8-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"
#include "kernels/cpu/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

static_assert(kPanel == kKvPanel);
inline constexpr size_t kValuePanel = kKvPageTokens * kPanel;  // numbers

// Few rows and 16-bit numbers, which are widened as they are read, once.
class StreamReader {
 public:
  static constexpr size_t kTileRows = 2 * kStreamRows;

  static size_t Floats(const CachedAttentionParams&, const QueryBlock&) {
    return 0;
  }

  StreamReader(const CachedAttentionParams& p, const QueryBlock& block,
               const float* queries, float*)
      : cache_(*p.cache),
        kv_head_(block.kv_head),
        query_stride_(QueryStride(p)),
        queries_(queries) {}

  void Load(size_t page, const std::byte* next, size_t) {
    const KvPageLayout& layout = cache_.layout();
    const std::byte* base = cache_.page(page);
    keys_ =
        reinterpret_cast<const hwy::float16_t*>(base + layout.keys(kv_head_));
    values_ =
        reinterpret_cast<const hwy::float16_t*>(base + layout.values(kv_head_));
    next_keys_ = next;
  }

  void Scores(size_t row, size_t rows, size_t panels, float* scores) const {
    const size_t dim = cache_.shape().head_dim;
    StreamPanels(rows, panels, queries_ + row * query_stride_, query_stride_,
                 keys_, dim * kPanel, dim, scores, kKvPageTokens,
                 /*accumulate=*/false, AsBytes(values_));
  }

  void AddValues(size_t rows, size_t count, const float* weights, float* result,
                 size_t ld) const {
    StreamPanels(rows, PanelsFor(cache_.shape().value_dim), weights,
                 kKvPageTokens, values_, kValuePanel, count, result, ld,
                 /*accumulate=*/true, next_keys_);
  }

 private:
  const KvCache& cache_;
  const size_t kv_head_;
  const size_t query_stride_;
  const float* const queries_;
  const hwy::float16_t* keys_ = nullptr;
  const hwy::float16_t* values_ = nullptr;
  const std::byte* next_keys_ = nullptr;
};

// 8-bit numbers, in integer products.
class I8Reader {
 public:
  static constexpr size_t kTileRows = kI8Rows;

  static size_t Floats(const CachedAttentionParams& p,
                       const QueryBlock& block) {
    return RoundUpToLine(block.rows) + block.rows * QueryStride(p) / 2 +
           kTileRows * kKvPageTokens / 2 +
           kTileRows *
               HWY_MAX(kKvPageTokens, p.cache->layout().padded_value_dim());
  }

  I8Reader(const CachedAttentionParams& p, const QueryBlock& block,
           const float* queries, float* memory)
      : cache_(*p.cache),
        kv_head_(block.kv_head),
        query_stride_(QueryStride(p)),
        query_steps_(memory),
        queries_(
            reinterpret_cast<int16_t*>(memory + RoundUpToLine(block.rows))),
        weights_(queries_ + block.rows * query_stride_),
        sums_(
            reinterpret_cast<int32_t*>(weights_ + kTileRows * kKvPageTokens)) {
    // So many that the sum of head_dim products with 127 fits 32 bits.
    const float steps = static_cast<float>(
        HWY_MIN(size_t{32767}, size_t{0x7fffffff} / (127 * query_stride_)));
    for (size_t r = 0; r < block.rows; ++r) {
      query_steps_[r] = RoundToSteps(queries + r * query_stride_, query_stride_,
                                     steps, queries_ + r * query_stride_);
    }
  }

  void Load(size_t page, const std::byte* next, size_t) {
    const KvPageLayout& layout = cache_.layout();
    const std::byte* base = cache_.page(page);
    keys_ = reinterpret_cast<const int8_t*>(base + layout.keys(kv_head_));
    values_ = reinterpret_cast<const int8_t*>(base + layout.values(kv_head_));
    key_scales_ =
        reinterpret_cast<const float*>(base + layout.key_scales(kv_head_));
    value_scales_ =
        reinterpret_cast<const float*>(base + layout.value_scales(kv_head_));
    next_keys_ = next;
  }

  void Scores(size_t row, size_t rows, size_t panels, float* scores) const {
    const DF d;
    const DI32 di;
    const size_t dim = cache_.layout().padded_head_dim();
    I8Panels(rows, panels, queries_ + row * query_stride_, query_stride_, keys_,
             dim * kPanel, dim / 2, sums_, kKvPageTokens,
             row == 0 ? AsBytes(values_) : AsBytes(keys_));
    for (size_t r = 0; r < rows; ++r) {
      const VF step = hn::Set(d, query_steps_[row + r]);
      const int32_t* sums = sums_ + r * kKvPageTokens;
      float* row_scores = scores + r * kKvPageTokens;
      for (size_t i = 0; i < panels * kPanel; i += kLanes) {
        const VF scale = hn::Mul(hn::LoadU(d, key_scales_ + i), step);
        const VF sum = hn::ConvertTo(d, hn::LoadU(di, sums + i));
        hn::StoreU(hn::Mul(sum, scale), d, row_scores + i);
      }
    }
  }

  void AddValues(size_t rows, size_t count, float* weights, float* result,
                 size_t ld) const {
    const DF d;
    const DI32 di;
    const size_t panels = PanelsFor(cache_.shape().value_dim);
    const size_t width = panels * kPanel;
    const size_t padded = PanelsFor(count) * kPanel;
    HWY_ALIGN float steps[kTileRows];
    for (size_t r = 0; r < rows; ++r) {
      float* row_weights = weights + r * kKvPageTokens;
      for (size_t i = 0; i < padded; i += kLanes) {
        hn::StoreU(hn::Mul(hn::LoadU(d, row_weights + i),
                           hn::LoadU(d, value_scales_ + i)),
                   d, row_weights + i);
      }
      steps[r] = RoundToSteps(row_weights, padded, 32767.0f,
                              weights_ + r * kKvPageTokens);
    }
    I8Panels(rows, panels, weights_, kKvPageTokens, values_, kValuePanel,
             (count + 1) / 2, sums_, width, next_keys_);
    for (size_t r = 0; r < rows; ++r) {
      const VF step = hn::Set(d, steps[r]);
      for (size_t i = 0; i < width; i += kLanes) {
        const VF sum = hn::ConvertTo(d, hn::LoadU(di, sums_ + r * width + i));
        float* at = result + r * ld + i;
        hn::StoreU(hn::MulAdd(sum, step, hn::LoadU(d, at)), d, at);
      }
    }
  }

 private:
  const KvCache& cache_;
  const size_t kv_head_;
  const size_t query_stride_;
  float* const query_steps_;  // of each row
  int16_t* const queries_;
  int16_t* const weights_;
  int32_t* const sums_;
  const int8_t* keys_ = nullptr;
  const int8_t* values_ = nullptr;
  const float* key_scales_ = nullptr;
  const float* value_scales_ = nullptr;
  const std::byte* next_keys_ = nullptr;
};

// All else: a page is widened to f32 for many rows to use. What is f32 already
// is used where it lies.
class WideReader {
 public:
  static constexpr size_t kTileRows = kMaxRows;

  static size_t Floats(const CachedAttentionParams& p, const QueryBlock&) {
    return kKvPageTokens * (p.cache->layout().padded_head_dim() +
                            p.cache->layout().padded_value_dim());
  }

  WideReader(const CachedAttentionParams& p, const QueryBlock& block,
             const float* queries, float* memory)
      : cache_(*p.cache),
        kv_head_(block.kv_head),
        dim_(p.cache->layout().padded_head_dim()),
        query_stride_(QueryStride(p)),
        queries_(queries),
        wide_keys_(memory),
        wide_values_(memory + kKvPageTokens * dim_) {}

  void Load(size_t page, const std::byte*, size_t count) {
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
        keys_ = wide_keys_;
        values_ = wide_values_;
        WidenAll(reinterpret_cast<const hwy::float16_t*>(keys),
                 PanelsFor(count) * kPanel * dim_, wide_keys_);
        if (cache_.shape().values_in_keys) break;
        for (size_t i = 0; i < layout.padded_value_dim(); i += kPanel) {
          WidenAll(reinterpret_cast<const hwy::float16_t*>(values) +
                       i * kKvPageTokens,
                   count * kPanel, wide_values_ + i * kKvPageTokens);
        }
        break;
      case KvType::kInt8:  // values that lie in keys; others have I8Reader
        keys_ = wide_keys_;
        WidenKeys(
            reinterpret_cast<const int8_t*>(keys),
            reinterpret_cast<const float*>(base + layout.key_scales(kv_head_)),
            PanelsFor(count));
        break;
    }
    if (cache_.shape().values_in_keys) TransposeKeys(count);
  }

  void Scores(size_t row, size_t rows, size_t panels, float* scores) const {
    TileOfPanels<Layout::kRowMajor>(
        rows, panels, queries_ + row * query_stride_, query_stride_, keys_,
        dim_ * kPanel, dim_, scores, kKvPageTokens, kOntoNothing);
  }

  void AddValues(size_t rows, size_t count, const float* weights, float* result,
                 size_t ld) const {
    TileOfPanels<Layout::kRowMajor>(rows, PanelsFor(cache_.shape().value_dim),
                                    weights, kKvPageTokens, values_,
                                    kValuePanel, count, result, ld, kOntoC);
  }

 private:
  void WidenKeys(const int8_t* keys, const float* scales, size_t panels) {
    const DF d;
    const DI32 di;
    for (size_t panel = 0; panel < panels; ++panel) {
      for (size_t j = 0; j < kPanel; j += kLanes) {
        const VF scale = hn::LoadU(d, scales + panel * kPanel + j);
        const size_t at = panel * dim_ * kPanel + j;
        for (size_t i = 0; i < dim_; i += 2) {
          const VI32 pairs =
              hn::BitCast(di, WidenPairs(keys + at + i * kPanel + j));
          const VI32 even = hn::ShiftRight<16>(hn::ShiftLeft<16>(pairs));
          const VI32 odd = hn::ShiftRight<16>(pairs);
          float* to = wide_keys_ + at + i * kPanel;
          hn::StoreU(hn::Mul(hn::ConvertTo(d, even), scale), d, to);
          hn::StoreU(hn::Mul(hn::ConvertTo(d, odd), scale), d, to + kPanel);
        }
      }
    }
  }

  // The values from the keys of the same tokens.
  void TransposeKeys(size_t count) {
    const size_t value_dim = cache_.shape().value_dim;
    for (size_t token = 0; token < count; token += kPanel) {
      const float* from = keys_ + token * dim_;  // [head_dim][16]
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
  const size_t dim_;  // of the keys, with padding
  const size_t query_stride_;
  const float* const queries_;
  float* const wide_keys_;
  float* const wide_values_;
  const float* keys_ = nullptr;
  const float* values_ = nullptr;
};

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_PAGE_READER_INL_H_
