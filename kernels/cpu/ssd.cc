#include "kernels/ssd.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/ssd.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// Unrolled over a chunk of L tokens, with c[t] the sum of dt * a up to t and S
// the state before the chunk, the recurrence reads
//
//   y[t] = sum_{s <= t} (C[t] . B[s]) exp(c[t] - c[s]) dt[s] x[s]
//          + exp(c[t]) S C[t] + d x[t]
//   S'   = exp(c[L-1]) S + sum_s exp(c[L-1] - c[s]) dt[s] x[s] B[s]^T
//
// The products C[t] . B[s] are the same for all heads of a group.

// products[t][s] = C[t] . B[s] for s <= t, rows kSsdChunk apart; columns s > t
// are undefined.
void SsdGroupProducts(const SsdParams& p, size_t begin, size_t length,
                      size_t group, float* products) {
  const size_t n = p.state_dim;
  float* packed = ThreadScratch(PanelsFor(length) * kPanel * n);
  PackRows(p.b + begin * p.ldb + group * n, p.ldb, length, n, packed);
  const float* c = p.c + begin * p.ldc + group * n;
  const size_t tiles = (length + kMaxRows - 1) / kMaxRows;
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t row = tile * length / tiles;
    const size_t end = (tile + 1) * length / tiles;
    TileOfPanels<Layout::kRowMajor>(end - row, PanelsFor(end), c + row * p.ldc,
                                    p.ldc, packed, n * kPanel, n,
                                    products + row * kSsdChunk, kSsdChunk,
                                    /*accumulate=*/false);
  }
}

// Working memory of one head, carved out of the thread's scratch.
struct HeadScratch {
  float* state;   // S^T in panels: [head_dim / 16][state_dim][16]
  float* x;       // x of the chunk in panels: [head_dim / 16][length][16]
  float* mixing;  // [kMaxRows, kSsdChunk]
  float* result;  // [kMaxRows, head_dim padded to panels]
};

HeadScratch CarveHeadScratch(const SsdParams& p) {
  const size_t width = PanelsFor(p.head_dim) * kPanel;
  const size_t state_floats = width * p.state_dim;
  const size_t x_floats = width * kSsdChunk;
  float* base = ThreadScratch(state_floats + x_floats + kMaxRows * kSsdChunk +
                              kMaxRows * width);
  return {base, base + state_floats, base + state_floats + x_floats,
          base + state_floats + x_floats + kMaxRows * kSsdChunk};
}

// One chunk of one head: y, then the state.
void SsdChunk(const SsdParams& p, size_t begin, size_t length, size_t head,
              const float* products, const HeadScratch& scratch) {
  const size_t n = p.state_dim;
  const size_t dim = p.head_dim;
  const size_t panels = PanelsFor(dim);
  const size_t width = panels * kPanel;
  const size_t group = head / (p.heads / p.groups);
  const float* x = p.x + begin * p.ldx + head * dim;
  const float* b = p.b + begin * p.ldb + group * n;
  const float* c = p.c + begin * p.ldc + group * n;
  float* y = p.y + begin * p.ldy + head * dim;

  // In f64: differences of these sums are exponents, so an absolute error here
  // is a relative error of the result.
  double decay_sum[kSsdChunk];
  float dt[kSsdChunk];
  double sum = 0.0;
  for (size_t t = 0; t < length; ++t) {
    dt[t] = p.dt[(begin + t) * p.lddt + head];
    sum += static_cast<double>(dt[t]) * p.a[head];
    decay_sum[t] = sum;
  }
  PackColumns(x, p.ldx, length, dim, length, scratch.x);

  const size_t tiles = (length + kMaxRows - 1) / kMaxRows;
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t row = tile * length / tiles;
    const size_t end = (tile + 1) * length / tiles;
    const size_t rows = end - row;
    TileOfPanels<Layout::kRowMajor>(rows, panels, c + row * p.ldc, p.ldc,
                                    scratch.state, n * kPanel, n,
                                    scratch.result, width,
                                    /*accumulate=*/false);
    for (size_t r = 0; r < rows; ++r) {
      const size_t t = row + r;
      ScaleInPlace(scratch.result + r * width, dim,
                   static_cast<float>(std::exp(decay_sum[t])));
      float* mixing = scratch.mixing + r * kSsdChunk;
      for (size_t s = 0; s <= t; ++s) {
        mixing[s] = static_cast<float>(decay_sum[t] - decay_sum[s]);
      }
      ExpSum(mixing, t + 1, 0.0f);
      const float* row_products = products + t * kSsdChunk;
      for (size_t s = 0; s <= t; ++s) mixing[s] *= row_products[s] * dt[s];
      for (size_t s = t + 1; s < end; ++s) mixing[s] = 0.0f;
    }
    TileOfPanels<Layout::kRowMajor>(rows, panels, scratch.mixing, kSsdChunk,
                                    scratch.x, length * kPanel, end,
                                    scratch.result, width,
                                    /*accumulate=*/true);
    for (size_t r = 0; r < rows; ++r) {
      float* result = scratch.result + r * width;
      if (p.d != nullptr) {
        AddScaledTo(result, x + (row + r) * p.ldx, dim, p.d[head]);
      }
      std::memcpy(y + (row + r) * p.ldy, result, dim * sizeof(float));
    }
  }

  for (size_t s = 0; s < length; ++s) {
    const float weight =
        dt[s] * static_cast<float>(std::exp(sum - decay_sum[s]));
    for (size_t q = 0; q < panels; ++q) {
      ScaleInPlace(scratch.x + (q * length + s) * kPanel, kPanel, weight);
    }
  }
  ScaleInPlace(scratch.state, width * n, static_cast<float>(std::exp(sum)));
  const size_t state_tiles = (n + kMaxRows - 1) / kMaxRows;
  for (size_t q = 0; q < panels; ++q) {
    for (size_t tile = 0; tile < state_tiles; ++tile) {
      const size_t row = tile * n / state_tiles;
      const size_t rows = (tile + 1) * n / state_tiles - row;
      Tile<1, Layout::kColumnMajor>(
          rows, b + row, p.ldb, scratch.x + q * length * kPanel, 0, length,
          scratch.state + (q * n + row) * kPanel, kPanel, /*accumulate=*/true,
          Ahead{.from = scratch.x, .step = 0});
    }
  }
}

// All chunks of tokens [begin, end) for one head. `products` holds one block
// of kSsdChunk x kSsdChunk per chunk for each group, `chunks` blocks apart.
void SsdHead(const SsdParams& p, size_t begin, size_t end, size_t head,
             const float* products, size_t chunks) {
  const size_t n = p.state_dim;
  const size_t dim = p.head_dim;
  const HeadScratch scratch = CarveHeadScratch(p);
  float* state = p.state + head * dim * n;
  PackRows(state, n, dim, n, scratch.state);
  const size_t group = head / (p.heads / p.groups);
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const size_t at = begin + chunk * kSsdChunk;
    SsdChunk(p, at, std::min(kSsdChunk, end - at), head,
             products + (group * chunks + chunk) * kSsdChunk * kSsdChunk,
             scratch);
  }
  for (size_t i = 0; i < dim; ++i) {
    const float* from = scratch.state + i / kPanel * n * kPanel + i % kPanel;
    for (size_t j = 0; j < n; ++j) state[i * n + j] = from[j * kPanel];
  }
}

// row = decay * row + scale * b; returns the old row . c
HWY_INLINE float StepRow(float* row, const float* b, const float* c, size_t n,
                         float decay, float scale) {
  const DF d;
  const VF vdecay = hn::Set(d, decay);
  const VF vscale = hn::Set(d, scale);
  PartialSums sums;
  size_t i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      const size_t at = i + j * kLanes;
      const VF old = hn::LoadU(d, row + at);
      sums.v[j] = hn::MulAdd(old, hn::LoadU(d, c + at), sums.v[j]);
      hn::StoreU(hn::MulAdd(vscale, hn::LoadU(d, b + at), hn::Mul(vdecay, old)),
                 d, row + at);
    }
  }
  float total = FastTotal(sums);
  for (; i < n; ++i) {
    total += row[i] * c[i];
    row[i] = decay * row[i] + scale * b[i];
  }
  return total;
}

void SsdStepHead(const SsdParams& p, size_t head) {
  const size_t n = p.state_dim;
  const size_t dim = p.head_dim;
  const size_t group = head / (p.heads / p.groups);
  const float skip = p.d == nullptr ? 0.0f : p.d[head];
  for (size_t t = 0; t < p.tokens; ++t) {
    const float dt = p.dt[t * p.lddt + head];
    const float decay = std::exp(dt * p.a[head]);
    const float* x = p.x + t * p.ldx + head * dim;
    const float* b = p.b + t * p.ldb + group * n;
    const float* c = p.c + t * p.ldc + group * n;
    float* y = p.y + t * p.ldy + head * dim;
    // As in a chunk, y comes from the old state and the new token apart: where
    // the two cancel, a sum over the new state would keep its rounding.
    const float direct = dt * DotProduct</*kFixedOrder=*/true>(b, c, n) + skip;
    for (size_t i = 0; i < dim; ++i) {
      const float value = x[i];
      const float from_state =
          StepRow(p.state + (head * dim + i) * n, b, c, n, decay, dt * value);
      y[i] = decay * from_state + direct * value;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(SsdGroupProducts);
HWY_EXPORT(SsdHead);
HWY_EXPORT(SsdStepHead);

// Fewer tokens are faster one by one.
constexpr size_t kMinTokensForChunk = 8;
// Chunks whose group products are kept at once: bounds the memory to
// groups x 256 KB.
constexpr size_t kChunksAtOnce = 16;
// Fewer multiply-adds than this are not worth waking a thread for.
constexpr size_t kMinTaskWork = 100'000;

void For(ThreadPool* pool, size_t n, size_t work,
         const std::function<void(size_t, size_t)>& body) {
  if (pool == nullptr) {
    body(0, n);
  } else {
    pool->ParallelFor(n, kMinTaskWork / std::max<size_t>(1, work) + 1, body);
  }
}

}  // namespace

void SsdStep(const SsdParams& params, ThreadPool* pool) {
  const size_t work = params.tokens * params.head_dim * params.state_dim * 2;
  For(pool, params.heads, work, [&](size_t begin, size_t end) {
    for (size_t head = begin; head < end; ++head) {
      HWY_DYNAMIC_DISPATCH(SsdStepHead)(params, head);
    }
  });
}

void SsdPrefill(const SsdParams& params, ThreadPool* pool) {
  if (params.tokens < kMinTokensForChunk) {
    SsdStep(params, pool);
    return;
  }
  const size_t most_chunks =
      std::min(kChunksAtOnce, (params.tokens + kSsdChunk - 1) / kSsdChunk);
  constexpr size_t kBlock = kSsdChunk * kSsdChunk;
  const std::unique_ptr<float[]> products(
      new float[params.groups * most_chunks * kBlock]);
  for (size_t begin = 0; begin < params.tokens;
       begin += most_chunks * kSsdChunk) {
    const size_t end = std::min(params.tokens, begin + most_chunks * kSsdChunk);
    const size_t chunks = (end - begin + kSsdChunk - 1) / kSsdChunk;
    For(pool, params.groups * chunks, kBlock * params.state_dim,
        [&](size_t first, size_t last) {
          for (size_t i = first; i < last; ++i) {
            const size_t at = begin + i % chunks * kSsdChunk;
            HWY_DYNAMIC_DISPATCH(SsdGroupProducts)
            (params, at, std::min(kSsdChunk, end - at), i / chunks,
             products.get() + i * kBlock);
          }
        });
    const size_t head_work =
        (end - begin) * params.head_dim * (2 * params.state_dim + kSsdChunk);
    For(pool, params.heads, head_work, [&](size_t first, size_t last) {
      for (size_t head = first; head < last; ++head) {
        HWY_DYNAMIC_DISPATCH(SsdHead)
        (params, begin, end, head, products.get(), chunks);
      }
    });
  }
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
