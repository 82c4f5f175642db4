#include "kernels/delta_rule.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/delta_rule.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/delta_rule_products-inl.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// row = beta * (v - row)
HWY_INLINE void TargetMinus(float* row, const float* v, size_t count,
                            float beta) {
  const DF d;
  const VF scale = hn::Set(d, beta);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const VF difference = hn::Sub(hn::LoadU(d, v + i), hn::LoadU(d, row + i));
    hn::StoreU(hn::Mul(scale, difference), d, row + i);
  }
  for (; i < count; ++i) row[i] = beta * (v[i] - row[i]);
}

// The triangular system and y, in tiles of tokens: see the formulas in
// delta_rule_products-inl.h.
void SolveChunk(const DeltaRuleParams& p, size_t begin, size_t length,
                size_t head, const HeadScratch& s) {
  const size_t dim = p.value_dim;
  const size_t panels = PanelsFor(dim);
  const float* v = p.v + begin * p.ldv + head * dim;
  const float* beta = p.beta + begin * p.ldbeta + head;
  float* y = p.y + begin * p.ldy + head * dim;
  const size_t tiles = (length + kMaxRows - 1) / kMaxRows;
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t row = tile * length / tiles;
    const size_t end = (tile + 1) * length / tiles;
    const size_t rows = end - row;
    float* solve = s.key_products + row * kDeltaRuleChunk;
    float* mixing = s.query_products + row * kDeltaRuleChunk;

    TileOfPanels<Layout::kRowMajor>(rows, panels, s.key_in + row * s.ldk, s.ldk,
                                    s.state, p.key_dim * kPanel, p.key_dim,
                                    s.result, s.ldv, /*accumulate=*/false);
    for (size_t r = 0; r < rows; ++r) {
      const float b = beta[(row + r) * p.ldbeta];
      TargetMinus(s.result + r * s.ldv, v + (row + r) * p.ldv, dim, b);
      ScaleInPlace(solve + r * kDeltaRuleChunk, row + r, -b);
    }
    TileOfPanels<Layout::kRowMajor>(rows, panels, solve, kDeltaRuleChunk,
                                    s.updates, length * kPanel, row, s.result,
                                    s.ldv, /*accumulate=*/true);
    for (size_t r = 0; r < rows; ++r) {
      float* update = s.result + r * s.ldv;
      for (size_t x = 0; x < r; ++x) {
        AddScaledTo(update, s.result + x * s.ldv, s.ldv,
                    solve[r * kDeltaRuleChunk + row + x]);
      }
      for (size_t panel = 0; panel < panels; ++panel) {
        std::memcpy(s.updates + (panel * length + row + r) * kPanel,
                    update + panel * kPanel, kPanel * sizeof(float));
      }
    }

    TileOfPanels<Layout::kRowMajor>(
        rows, panels, s.query_in + row * s.ldk, s.ldk, s.state,
        p.key_dim * kPanel, p.key_dim, s.result, s.ldv, /*accumulate=*/false);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t j = row + r + 1; j < end; ++j) {
        mixing[r * kDeltaRuleChunk + j] = 0.0f;
      }
    }
    TileOfPanels<Layout::kRowMajor>(rows, panels, mixing, kDeltaRuleChunk,
                                    s.updates, length * kPanel, end, s.result,
                                    s.ldv, /*accumulate=*/true);
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(y + (row + r) * p.ldy, s.result + r * s.ldv,
                  dim * sizeof(float));
    }
  }
}

// The state after the chunk.
void AdvanceState(const DeltaRuleParams& p, size_t length,
                  const HeadScratch& s) {
  const size_t tiles = (p.key_dim + kMaxRows - 1) / kMaxRows;
  for (size_t panel = 0; panel < PanelsFor(p.value_dim); ++panel) {
    float* state = s.state + panel * p.key_dim * kPanel;
    const float* updates = s.updates + panel * length * kPanel;
    for (size_t c = 0; c < p.key_dim; ++c) {
      ScaleInPlace(state + c * kPanel, kPanel, s.decay[c]);
    }
    for (size_t block = 0; block < length; block += kPanel) {
      const size_t count = std::min(kPanel, length - block);
      const float* keys = s.key_out + block * p.key_dim;
      for (size_t tile = 0; tile < tiles; ++tile) {
        const size_t row = tile * p.key_dim / tiles;
        const size_t rows = (tile + 1) * p.key_dim / tiles - row;
        Tile<1, Layout::kRowMajor>(
            rows, keys + row * kPanel, kPanel, updates + block * kPanel, 0,
            count, state + row * kPanel, kPanel,
            /*accumulate=*/true, Ahead{.from = keys, .step = 0});
      }
    }
  }
}

void DeltaRuleHead(const DeltaRuleParams& p, size_t head) {
  const HeadScratch scratch = CarveHeadScratch(p);
  float* state = p.state + head * p.key_dim * p.value_dim;
  PackColumns(state, p.value_dim, p.key_dim, p.value_dim, p.key_dim,
              scratch.state);
  for (size_t begin = 0; begin < p.tokens; begin += kDeltaRuleChunk) {
    const size_t length = std::min(kDeltaRuleChunk, p.tokens - begin);
    if (p.decay_per_key_channel) {
      PrepareChunkPerChannel(p, begin, length, head, scratch);
    } else {
      PrepareChunkPerHead(p, begin, length, head, scratch);
    }
    SolveChunk(p, begin, length, head, scratch);
    AdvanceState(p, length, scratch);
  }
  for (size_t column = 0; column < p.value_dim; column += kPanel) {
    const size_t width = std::min(kPanel, p.value_dim - column);
    const float* panel = scratch.state + column * p.key_dim;
    for (size_t c = 0; c < p.key_dim; ++c) {
      std::memcpy(state + c * p.value_dim + column, panel + c * kPanel,
                  width * sizeof(float));
    }
  }
}

// read += key * row and y += query * row
HWY_INLINE void ReadRow(const float* row, float* read, float* y, size_t count,
                        float key, float query) {
  const DF d;
  const VF vkey = hn::Set(d, key);
  const VF vquery = hn::Set(d, query);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const VF s = hn::LoadU(d, row + i);
    hn::StoreU(hn::MulAdd(vkey, s, hn::LoadU(d, read + i)), d, read + i);
    hn::StoreU(hn::MulAdd(vquery, s, hn::LoadU(d, y + i)), d, y + i);
  }
  for (; i < count; ++i) {
    read[i] += key * row[i];
    y[i] += query * row[i];
  }
}

// row = decay * row + scale * update
HWY_INLINE void WriteRow(float* row, const float* update, size_t count,
                         float decay, float scale) {
  const DF d;
  const VF vdecay = hn::Set(d, decay);
  const VF vscale = hn::Set(d, scale);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const VF old = hn::Mul(vdecay, hn::LoadU(d, row + i));
    hn::StoreU(hn::MulAdd(vscale, hn::LoadU(d, update + i), old), d, row + i);
  }
  for (; i < count; ++i) row[i] = decay * row[i] + scale * update[i];
}

void DeltaRuleStepHead(const DeltaRuleParams& p, size_t head) {
  const size_t dim = p.value_dim;
  const size_t key_at = head / (p.value_heads / p.key_heads) * p.key_dim;
  float* state = p.state + head * p.key_dim * dim;
  const size_t ldk = RoundUpToLine(p.key_dim);
  const size_t ldv = RoundUpToLine(dim);
  float* decay = ThreadScratch(ldk + 2 * ldv);
  float* update = decay + ldk;
  float* y = update + ldv;
  for (size_t t = 0; t < p.tokens; ++t) {
    const float* q = p.q + t * p.ldq + key_at;
    const float* k = p.k + t * p.ldk + key_at;
    if (p.decay_per_key_channel) {
      std::memcpy(decay, p.g + t * p.ldg + head * p.key_dim,
                  p.key_dim * sizeof(float));
      ExpSum(decay, p.key_dim, 0.0f);
    } else {
      std::fill_n(decay, p.key_dim, std::exp(p.g[t * p.ldg + head]));
    }
    std::memset(update, 0, 2 * ldv * sizeof(float));  // and y
    // As in a chunk, y comes from the old state and the new token apart: where
    // the two cancel, a sum over the new state would keep its rounding.
    for (size_t c = 0; c < p.key_dim; ++c) {
      ReadRow(state + c * dim, update, y, dim, decay[c] * k[c],
              decay[c] * q[c]);
    }
    TargetMinus(update, p.v + t * p.ldv + head * dim, dim,
                p.beta[t * p.ldbeta + head]);
    AddScaledTo(y, update, dim, ChainDot(q, k, p.key_dim));
    for (size_t c = 0; c < p.key_dim; ++c) {
      WriteRow(state + c * dim, update, dim, decay[c], k[c]);
    }
    std::memcpy(p.y + t * p.ldy + head * dim, y, dim * sizeof(float));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(DeltaRuleHead);
HWY_EXPORT(DeltaRuleStepHead);

// Fewer tokens are faster one by one.
constexpr size_t kMinTokensForChunk = 8;
// Fewer multiply-adds than this are not worth waking a thread for.
constexpr size_t kMinTaskWork = 100'000;

void For(const DeltaRuleParams& params, ThreadPool* pool,
         const std::function<void(size_t, size_t)>& body) {
  if (pool == nullptr) {
    body(0, params.value_heads);
    return;
  }
  const size_t work = params.tokens * params.key_dim * params.value_dim * 3;
  pool->ParallelFor(params.value_heads,
                    kMinTaskWork / std::max<size_t>(1, work) + 1, body);
}

}  // namespace

void DeltaRuleStep(const DeltaRuleParams& params, ThreadPool* pool) {
  For(params, pool, [&](size_t begin, size_t end) {
    for (size_t head = begin; head < end; ++head) {
      HWY_DYNAMIC_DISPATCH(DeltaRuleStepHead)(params, head);
    }
  });
}

void DeltaRulePrefill(const DeltaRuleParams& params, ThreadPool* pool) {
  if (params.tokens < kMinTokensForChunk) {
    DeltaRuleStep(params, pool);
    return;
  }
  For(params, pool, [&](size_t begin, size_t end) {
    for (size_t head = begin; head < end; ++head) {
      HWY_DYNAMIC_DISPATCH(DeltaRuleHead)(params, head);
    }
  });
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
