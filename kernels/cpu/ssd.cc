#include "kernels/ssd.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/ssd_layout.h"
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

// Unrolled over a chunk, with c[t] the sum of dt * a up to t, L the number of
// its tokens and S the state before it, the recurrence reads
//
//   y[t] = sum_{s <= t} (C[t] . B[s]) exp(c[t] - c[s]) dt[s] x[s]
//          + exp(c[t]) S C[t] + d x[t]
//   S'   = exp(c[L-1]) S + sum_s exp(c[L-1] - c[s]) dt[s] x[s] B[s]^T
//
// Row t needs the rows up to t only, and every sum below is a chain of
// additions in ascending order: a row comes out the same in whatever piece it
// comes.

static_assert(kSsdChunk == kPanel);

// Adds the piece's B to the group's panel, then C . B for its rows.
void SsdGroupPiece(const SsdParams& p, const ssd::Piece& piece, size_t group,
                   const ssd::GroupChunk& out) {
  const size_t n = p.state_dim;
  const float* b = p.b + piece.token * p.ldb + group * n;
  const float* c = p.c + piece.token * p.ldc + group * n;
  const size_t rows = piece.end - piece.row;
  if (piece.row == 0) {
    PackRows(b, p.ldb, rows, n, out.b);
  } else {
    for (size_t i = 0; i < n; ++i) {
      for (size_t r = 0; r < rows; ++r) {
        out.b[i * kPanel + piece.row + r] = b[r * p.ldb + i];
      }
    }
  }
  for (size_t r = 0; r < rows; r += kMaxRows) {
    TileOfPanels<Layout::kRowMajor>(
        HWY_MIN(kMaxRows, rows - r), 1, c + r * p.ldc, p.ldc, out.b, 0, n,
        out.products + (piece.row + r) * kPanel, kPanel, /*accumulate=*/false);
  }
}

// S after the chunk whose x, scaled in place, and B are given.
void AdvanceSsdState(size_t n, size_t panels, const double* decay_sum,
                     const float* dt, const float* b, float* x, float* state) {
  const double sum = decay_sum[kSsdChunk - 1];
  for (size_t s = 0; s < kSsdChunk; ++s) {
    const float weight =
        dt[s] * static_cast<float>(std::exp(sum - decay_sum[s]));
    for (size_t q = 0; q < panels; ++q) {
      ScaleInPlace(x + (q * kSsdChunk + s) * kPanel, kPanel, weight);
    }
  }
  ScaleInPlace(state, panels * n * kPanel, static_cast<float>(std::exp(sum)));
  for (size_t q = 0; q < panels; ++q) {
    for (size_t row = 0; row < n; row += kMaxRows) {
      Tile<1, Layout::kRowMajor>(HWY_MIN(kMaxRows, n - row), b + row * kPanel,
                                 kPanel, x + q * kSsdChunk * kPanel, 0,
                                 kSsdChunk, state + (q * n + row) * kPanel,
                                 kPanel, /*accumulate=*/true,
                                 Ahead{.from = x, .step = 0});
    }
  }
}

// One piece of one head: y, and the state where the chunk ends.
void SsdHeadPiece(const SsdParams& p, const ssd::Piece& piece, size_t head,
                  const ssd::GroupChunk& group) {
  const ssd::StateLayout layout(p);
  const size_t n = p.state_dim;
  const size_t dim = p.head_dim;
  const size_t panels = layout.panels;
  const size_t width = panels * kPanel;
  float* state = p.state + head * layout.head_stride;
  float* open_x = state + layout.x_at;
  float* dt = state + layout.dt_at;
  const float* x = p.x + piece.token * p.ldx + head * dim;
  const float* c = p.c + piece.token * p.ldc + head / (p.heads / p.groups) * n;
  float* y = p.y + piece.token * p.ldy + head * dim;
  float* result = ThreadScratch(kMaxRows * width);

  for (size_t row = piece.row; row < piece.end; ++row) {
    const size_t r = row - piece.row;
    dt[row] = p.dt[(piece.token + r) * p.lddt + head];
    PackColumnsRow(x + r * p.ldx, dim, kSsdChunk, open_x + row * kPanel);
  }
  // In f64: differences of these sums are exponents, so an absolute error here
  // is a relative error of the result.
  double decay_sum[kSsdChunk];
  double sum = 0.0;
  for (size_t t = 0; t < piece.end; ++t) {
    sum += static_cast<double>(dt[t]) * p.a[head];
    decay_sum[t] = sum;
  }

  for (size_t row = piece.row; row < piece.end; row += kMaxRows) {
    const size_t end = HWY_MIN(row + kMaxRows, piece.end);
    const size_t at = row - piece.row;
    TileOfPanels<Layout::kRowMajor>(end - row, panels, c + at * p.ldc, p.ldc,
                                    state, n * kPanel, n, result, width,
                                    /*accumulate=*/false);
    HWY_ALIGN float mixing[kMaxRows * kSsdChunk] = {};
    for (size_t t = row; t < end; ++t) {
      ScaleInPlace(result + (t - row) * width, dim,
                   static_cast<float>(std::exp(decay_sum[t])));
      float* weights = mixing + (t - row) * kSsdChunk;
      for (size_t s = 0; s <= t; ++s) {
        weights[s] = static_cast<float>(decay_sum[t] - decay_sum[s]);
      }
      ExpSum(weights, t + 1, 0.0f);
      const float* products = group.products + t * kSsdChunk;
      for (size_t s = 0; s <= t; ++s) weights[s] *= products[s] * dt[s];
    }
    TileOfPanels<Layout::kRowMajor>(end - row, panels, mixing, kSsdChunk,
                                    open_x, kSsdChunk * kPanel, end, result,
                                    width, /*accumulate=*/true);
    for (size_t r = 0; r < end - row; ++r) {
      float* out = result + r * width;
      if (p.d != nullptr) {
        AddScaledTo(out, x + (at + r) * p.ldx, dim, p.d[head]);
      }
      std::memcpy(y + (at + r) * p.ldy, out, dim * sizeof(float));
    }
  }
  if (piece.end == kSsdChunk) {
    AdvanceSsdState(n, panels, decay_sum, dt, group.b, open_x, state);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(SsdGroupPiece);
HWY_EXPORT(SsdHeadPiece);

// Pieces whose group products are kept at once.
constexpr size_t kPiecesAtOnce = 64;
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

// Where the shared part of piece `i` of a pass over pieces [first, ...) lies.
// The first piece of a call works on the open chunk in the state itself.
class SharedChunks {
 public:
  SharedChunks(const SsdParams& p, size_t pieces)
      : params_(p),
        b_floats_(p.state_dim * kSsdChunk),
        pieces_(pieces),
        scratch_(new float[p.groups * pieces * (b_floats_ + kProducts)]) {}

  ssd::GroupChunk at(size_t group, size_t first, size_t i) const {
    float* chunk =
        scratch_.get() + (group * pieces_ + i) * (b_floats_ + kProducts);
    return {first + i == 0 ? Open(group) : chunk, chunk + b_floats_};
  }

  // Keeps B of the call's last piece, if it leaves its chunk unfinished.
  void KeepOpen(size_t first, size_t i) const {
    if (first + i == 0) return;
    for (size_t group = 0; group < params_.groups; ++group) {
      std::memcpy(Open(group), at(group, first, i).b,
                  b_floats_ * sizeof(float));
    }
  }

 private:
  static constexpr size_t kProducts = kSsdChunk * kSsdChunk;

  float* Open(size_t group) const {
    const ssd::StateLayout layout(params_);
    return params_.state + layout.b_at + group * layout.b_stride;
  }

  const SsdParams& params_;
  const size_t b_floats_;
  const size_t pieces_;
  const std::unique_ptr<float[]> scratch_;
};

}  // namespace

size_t SsdStateFloats(size_t heads, size_t head_dim, size_t state_dim,
                      size_t groups) {
  SsdParams params;
  params.heads = heads;
  params.head_dim = head_dim;
  params.state_dim = state_dim;
  const ssd::StateLayout layout(params);
  return layout.b_at + groups * layout.b_stride;
}

void Ssd(const SsdParams& params, ThreadPool* pool) {
  const size_t pieces = ssd::Pieces(params);
  const SharedChunks shared(params, std::min(pieces, kPiecesAtOnce));
  for (size_t first = 0; first < pieces; first += kPiecesAtOnce) {
    const size_t count = std::min(kPiecesAtOnce, pieces - first);
    const size_t rows = std::min(params.tokens, count * kSsdChunk);
    For(pool, params.groups * count,
        rows / count * kSsdChunk * params.state_dim,
        [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) {
            const size_t group = i / count;
            HWY_DYNAMIC_DISPATCH(SsdGroupPiece)
            (params, ssd::PieceOf(params, first + i % count), group,
             shared.at(group, first, i % count));
          }
        });
    For(pool, params.heads, rows * params.head_dim * 2 * params.state_dim,
        [&](size_t begin, size_t end) {
          for (size_t head = begin; head < end; ++head) {
            const size_t group = head / (params.heads / params.groups);
            for (size_t i = 0; i < count; ++i) {
              HWY_DYNAMIC_DISPATCH(SsdHeadPiece)
              (params, ssd::PieceOf(params, first + i), head,
               shared.at(group, first, i));
            }
          }
        });
    if (ssd::PieceOf(params, first + count - 1).end < kSsdChunk) {
      shared.KeepOpen(first, count - 1);
    }
  }
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
