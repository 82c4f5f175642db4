#include "kernels/ssd.h"

#include <algorithm>
#include <cstring>
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

// Unrolled over a chunk of tokens t, with c[t] the sum of dt a up to t, L the
// number of tokens, S the state before it (with the share of the token before
// the chunk that the trapezoid adds at its first token) and
//
//   now[t]   = l[t] dt[t]
//   later[t] = now[t] + (1 - l[t + 1]) dt[t + 1]
//
// the recurrence reads (for one row per token; with more, sums are over the
// rows of the tokens)
//
//   y[t] = now[t] (C[t] . B[t]) x[t]
//          + sum_{s < t} later[s] (C[t] . B[s]) exp(c[t] - c[s]) x[s]
//          + exp(c[t]) S C[t] + d x[t]
//   S'   = exp(c[L-1]) S + now[L-1] x[L-1] B[L-1]^T
//          + sum_{s < L-1} later[s] exp(c[L-1] - c[s]) x[s] B[s]^T
//
// A token needs those before it only, and every sum below is a chain of
// additions in ascending order: it comes out the same in whatever piece it
// comes.

static_assert(kSsdChunk == kPanel);

// Adds the piece's B to the group's panel, then C . B for its rows.
void SsdGroupPiece(const SsdParams& p, const ssd::Piece& piece, size_t group,
                   const ssd::GroupChunk& out) {
  const size_t n = p.shape.state_dim;
  const float* b = p.b + piece.at * p.ldb + group * n;
  const float* c = p.c + piece.at * p.ldc + group * n;
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
        out.products + (piece.row + r) * kPanel, kPanel, kOntoNothing);
  }
}

using DI = hn::RebindToSigned<DF>;

// One piece of one head.
struct HeadPiece {
  HeadPiece(const SsdParams& p, const ssd::Piece& piece, size_t head)
      : n(p.shape.state_dim),
        rank(p.shape.rank),
        layout(p.shape),
        state(p.state + head * layout.head_stride),
        x(state + layout.x_at),
        tokens(piece.end / rank) {
    const size_t first = piece.row / rank;
    float* dt = state + layout.dt_at;
    float* a = state + layout.a_at;
    float* trapezoid = state + layout.trapezoid_at;
    for (size_t t = first; t < tokens; ++t) {
      const size_t token = piece.at / rank + t - first;
      dt[t] = p.dt[token * p.lddt + head];
      a[t] = p.a[token * p.lda + head];
      trapezoid[t] =
          p.trapezoid == nullptr ? 1.0f : p.trapezoid[token * p.lddt + head];
    }
    double sum = 0.0;
    for (size_t t = 0; t < tokens; ++t) {
      sum += static_cast<double>(dt[t]) * a[t];
      decay_sum[t] = sum;
      now[t] = trapezoid[t] * dt[t];
      carry[t] = (1.0f - trapezoid[t]) * dt[t];
      if (t > 0) later[t - 1] = now[t - 1] + carry[t];
    }
    later[tokens - 1] = 0.0f;
    for (size_t j = 0; j < kSsdChunk; ++j) {
      const size_t t = HWY_MIN(j / rank, tokens - 1);
      row_sum[j] = decay_sum[t];
      row_later[j] = later[t];
    }
    for (size_t j = 0; j < kSsdChunk; ++j) {
      state_decay[j] = static_cast<float>(row_sum[j]);
    }
    ExpOfRows(state_decay);
  }

  static void ExpOfRows(float* rows) {
    const DF d;
    for (size_t j = 0; j < kSsdChunk; j += kLanes) {
      hn::StoreU(hn::Exp(d, hn::LoadU(d, rows + j)), d, rows + j);
    }
  }

  // exp(from - row_sum[j]) for every row j of the chunk; of rows behind it,
  // anything.
  void Decays(double from, float* decays) const {
    for (size_t j = 0; j < kSsdChunk; ++j) {
      decays[j] = static_cast<float>(from - row_sum[j]);
    }
    ExpOfRows(decays);
  }

  // S = decay S + sum over j of scale[j] x[j] B[j]^T, for rows [begin, end) of
  // a chunk: x in panels, B as [state_dim][chunk].
  void AddToState(const float* b, const float* scale, size_t begin, size_t end,
                  float decay) const {
    float decays[kMaxRows];
    std::fill_n(decays, kMaxRows, decay);
    const size_t count = end - begin;
    float* scaled = ThreadScratch(layout.panels * count * kPanel);
    for (size_t q = 0; q < layout.panels; ++q) {
      float* panel = scaled + q * count * kPanel;
      std::memcpy(panel, x + (q * kSsdChunk + begin) * kPanel,
                  count * kPanel * sizeof(float));
      for (size_t j = 0; j < count; ++j) {
        ScaleInPlace(panel + j * kPanel, kPanel, scale[j]);
      }
      for (size_t row = 0; row < n; row += kMaxRows) {
        Tile<1, Layout::kPanelRows>(
            HWY_MIN(kMaxRows, n - row), b + row * kPanel + begin, kPanel, panel,
            0, count, state + (q * n + row) * kPanel, kPanel,
            Onto{.c = true, .scale = decays}, Ahead{.from = panel, .step = 0});
      }
    }
  }

  // What the token before the chunk adds at the chunk's first.
  void CarryLastToken(const float* last_b) const {
    float scale[kSsdChunk];
    std::fill_n(scale, rank, carry[0]);
    AddToState(last_b, scale, kSsdChunk - rank, kSsdChunk, /*decay=*/1.0f);
  }

  // The state after the whole chunk.
  void FinishChunk(const float* b) const {
    HWY_ALIGN float scale[kSsdChunk];
    Decays(decay_sum[tokens - 1], scale);
    for (size_t j = 0; j < kSsdChunk; ++j) scale[j] *= row_later[j];
    std::fill_n(scale + kSsdChunk - rank, rank, now[tokens - 1]);
    AddToState(b, scale, 0, kSsdChunk, state_decay[kSsdChunk - 1]);
  }

  // weights[j] = what row j gives to row i: 0 behind i's token.
  void MixingWeights(size_t i, const float* products, float* weights) const {
    const size_t t = i / rank;
    Decays(decay_sum[t], weights);
    const DI di;
    const DF d;
    const VF own = hn::Set(d, now[t]);
    const auto first = hn::Set(di, static_cast<int32_t>(t * rank));
    const auto behind = hn::Set(di, static_cast<int32_t>((t + 1) * rank));
    for (size_t j = 0; j < kSsdChunk; j += kLanes) {
      const auto row = hn::Iota(di, static_cast<int32_t>(j));
      const VF scale = hn::IfThenElse(hn::RebindMask(d, hn::Lt(row, first)),
                                      hn::LoadU(d, row_later + j), own);
      const VF weight = hn::Mul(
          hn::Mul(hn::LoadU(d, weights + j), hn::LoadU(d, products + j)),
          scale);
      hn::StoreU(
          hn::IfThenElseZero(hn::RebindMask(d, hn::Lt(row, behind)), weight), d,
          weights + j);
    }
  }

  const size_t n;
  const size_t rank;
  const ssd::StateLayout layout;
  float* const state;
  float* const x;  // of the chunk, in panels
  const size_t tokens;
  // In f64: differences of these sums are exponents, so an absolute error here
  // is a relative error of the result.
  double decay_sum[kSsdChunk];
  float now[kSsdChunk];
  float later[kSsdChunk];  // but for the last token
  float carry[kSsdChunk];
  // The same for each row of a token.
  double row_sum[kSsdChunk];
  float row_later[kSsdChunk];
  float state_decay[kSsdChunk];  // exp(row_sum)
};

// One piece of one head: y, and the state where the chunk ends. A piece of few
// rows is over before memory has brought the next head's state: with `next`, a
// head or null, that is asked for meanwhile.
void SsdHeadPiece(const SsdParams& p, const ssd::Piece& piece, size_t head,
                  const float* next, const ssd::GroupChunk& group) {
  const HeadPiece h(p, piece, head);
  const size_t dim = p.shape.head_dim;
  const size_t panels = h.layout.panels;
  const size_t width = panels * kPanel;
  const float* x = p.x + piece.at * p.ldx + head * dim;
  const float* c =
      p.c + piece.at * p.ldc + head / (p.shape.heads / p.shape.groups) * h.n;
  float* y = p.y + piece.at * p.ldy + head * dim;
  const size_t past_rows = p.past_tokens * h.rank + piece.at;
  if (p.shape.trapezoid && piece.row == 0 && past_rows > 0) {
    h.CarryLastToken(group.last_b);
  }
  const size_t rows = piece.end - piece.row;
  for (size_t r = 0; r < rows; ++r) {
    PackColumnsRow(x + r * p.ldx, dim, kSsdChunk,
                   h.x + (piece.row + r) * kPanel);
  }

  if (next != nullptr) FetchRow(next, h.layout.dt_at);
  float* result = ThreadScratch(kMaxRows * width);
  for (size_t row = piece.row; row < piece.end; row += kMaxRows) {
    const size_t end = HWY_MIN(row + kMaxRows, piece.end);
    const size_t at = row - piece.row;
    TileOfPanels<Layout::kRowMajor>(end - row, panels, c + at * p.ldc, p.ldc,
                                    h.state, h.n * kPanel, h.n, result, width,
                                    kOntoNothing);
    HWY_ALIGN float mixing[kMaxRows * kSsdChunk];
    for (size_t i = row; i < end; ++i) {
      h.MixingWeights(i, group.products + i * kSsdChunk,
                      mixing + (i - row) * kSsdChunk);
    }
    const size_t seen = (end + h.rank - 1) / h.rank * h.rank;
    TileOfPanels<Layout::kRowMajor>(
        end - row, panels, mixing, kSsdChunk, h.x, kSsdChunk * kPanel, seen,
        result, width, Onto{.c = true, .scale = h.state_decay + row});
    for (size_t r = 0; r < end - row; ++r) {
      float* out = result + r * width;
      if (piece.at + at + r + rows < p.tokens * h.rank) {
        FetchRow(x + (at + r + rows) * p.ldx, dim);
      }
      if (p.d != nullptr) {
        AddScaledTo(out, x + (at + r) * p.ldx, dim, p.d[head]);
      }
      std::memcpy(y + (at + r) * p.ldy, out, dim * sizeof(float));
    }
  }
  if (piece.end == kSsdChunk) h.FinishChunk(group.b);
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

// Where the shared part of piece `i` of a pass over pieces [first, ...) lies.
// The first piece of a call works on the open chunk in the state itself.
class SharedChunks {
 public:
  SharedChunks(const SsdParams& p, size_t pieces)
      : params_(p),
        layout_(p.shape),
        pieces_(pieces),
        scratch_(new float[p.shape.groups * pieces * Stride()]) {}

  ssd::GroupChunk at(size_t group, size_t first, size_t i) const {
    float* chunk = Chunk(group, i);
    const float* last_b = nullptr;
    if (params_.shape.trapezoid) {
      last_b = i == 0 ? Last(group) : B(group, first, i - 1);
    }
    return {B(group, first, i), last_b, chunk + layout_.b_floats};
  }

  // Keeps what the next pass or call needs of this pass's last piece, `i`.
  void Keep(size_t first, size_t i) const {
    const bool whole = ssd::PieceOf(params_, first + i).end == kSsdChunk;
    const bool trapezoid = params_.shape.trapezoid;
    for (size_t group = 0; group < params_.shape.groups; ++group) {
      const float* b = B(group, first, i);
      if (!whole && b != Open(group)) Copy(b, Open(group));
      if (!trapezoid) continue;
      // Of the last chunk that is whole.
      if (whole) {
        Copy(b, Last(group));
      } else if (i > 0) {
        Copy(B(group, first, i - 1), Last(group));
      }
    }
  }

 private:
  size_t Stride() const { return layout_.b_floats + kSsdChunk * kSsdChunk; }
  float* Chunk(size_t group, size_t i) const {
    return scratch_.get() + (group * pieces_ + i) * Stride();
  }
  float* Open(size_t group) const {
    return params_.state + layout_.b_at + group * layout_.group_stride;
  }
  float* Last(size_t group) const { return Open(group) + layout_.b_floats; }
  float* B(size_t group, size_t first, size_t i) const {
    return first + i == 0 ? Open(group) : Chunk(group, i);
  }
  void Copy(const float* from, float* to) const {
    std::memcpy(to, from, layout_.b_floats * sizeof(float));
  }

  const SsdParams& params_;
  const ssd::StateLayout layout_;
  const size_t pieces_;
  const std::unique_ptr<float[]> scratch_;
};

}  // namespace

size_t SsdStateFloats(const SsdShape& shape) {
  const ssd::StateLayout layout(shape);
  return layout.b_at + shape.groups * layout.group_stride;
}

void Ssd(const SsdParams& params, ThreadPool* pool) {
  const SsdShape& shape = params.shape;
  const ssd::StateLayout layout(shape);
  const size_t pieces = ssd::Pieces(params);
  const SharedChunks shared(params, std::min(pieces, kPiecesAtOnce));
  for (size_t first = 0; first < pieces; first += kPiecesAtOnce) {
    const size_t count = std::min(kPiecesAtOnce, pieces - first);
    const size_t rows = std::min(params.tokens * shape.rank, count * kSsdChunk);
    const size_t group_work = rows / count * kSsdChunk * shape.state_dim;
    ParallelFor(pool, shape.groups * count, GrainOf(kMinTaskWork, group_work),
                [&](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) {
                    const size_t group = i / count;
                    HWY_DYNAMIC_DISPATCH(SsdGroupPiece)
                    (params, ssd::PieceOf(params, first + i % count), group,
                     shared.at(group, first, i % count));
                  }
                });
    const size_t head_work = rows * shape.head_dim * 2 * shape.state_dim;
    ParallelFor(
        pool, shape.heads, GrainOf(kMinTaskWork, head_work),
        [&](size_t begin, size_t end) {
          for (size_t head = begin; head < end; ++head) {
            const size_t group = head / (shape.heads / shape.groups);
            const float* next =
                head + 1 < end ? params.state + (head + 1) * layout.head_stride
                               : nullptr;
            for (size_t i = 0; i < count; ++i) {
              HWY_DYNAMIC_DISPATCH(SsdHeadPiece)
              (params, ssd::PieceOf(params, first + i), head,
               i + 1 == count ? next : nullptr, shared.at(group, first, i));
            }
          }
        });
    shared.Keep(first, count - 1);
  }
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
