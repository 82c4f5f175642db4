#include "kernels/delta_rule.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/delta_rule_layout.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/targets.h"
#include "kernels/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/delta_rule.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file again per instruction set.
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {

// Unrolled over a chunk of L tokens, with G[i] the sum of g up to i (a number,
// or a vector over key channels), S the state before the chunk and u[i] =
// beta[i] (v[i] - ...) what token i writes, the recurrence reads
//
//   u[i] = beta[i] (v[i] - S^T (exp(G[i]) k[i])
//                   - sum_{j < i} (exp(G[i] - G[j]) k[i] . k[j]) u[j])
//   y[i] = S^T (exp(G[i]) q[i]) + sum_{j <= i} (exp(G[i] - G[j]) q[i] . k[j])
//                                              u[j]
//   S'   = exp(G[L-1]) S + sum_j (exp(G[L-1] - G[j]) k[j]) u[j]^T
//
// The first line is a triangular system with ones on its diagonal (the UT
// transform of the papers, solved by substitution rather than by inverting).
// Every exponent is at most 0: nothing overflows, and what underflows is zero
// in exact arithmetic too, for all that f32 can tell. Row i needs the rows up
// to i only, and every sum is a chain of additions in ascending order: a row
// comes out the same in whatever piece of the chunk it comes.

static_assert(kDeltaRuleChunk == kPanel);

// Rows [row, end) of the open chunk; row `row` is token `token` of the call.
struct Piece {
  size_t token;
  size_t row;
  size_t end;
};

// One head's state, and working memory carved out of the thread's scratch.
// "Padded" is to whole panels.
struct HeadMemory {
  size_t ldk;  // padded key_dim
  size_t ldv;  // padded value_dim

  float* state;    // S in panels: [value_dim / 16][key_dim][16]
  float* keys;     // of the open chunk: see DeltaRuleLayout
  float* updates;  // u of the open chunk in panels: [value_dim / 16][chunk][16]
  float* decays;   // see DeltaRuleLayout

  // exp(G[i]) k[i] of the piece's rows, then exp(G[i]) q[i] of them, both
  // [rows, padded key_dim]: what S^T is multiplied with, in one go.
  float* key_in;
  float* query_in;
  float* key_products;    // exp(G[i] - G[j]) k[i] . k[j], j < i: [chunk, chunk]
  float* query_products;  // the same with q[i], j <= i: [chunk, chunk]
  float* result;          // S^T of both: [2 rows, padded value_dim]
  float* key_out;         // exp(G[L-1] - G[j]) k[j]: [key_dim][chunk]
  float* factors;         // [padded key_dim]
};

HeadMemory HeadMemoryOf(const DeltaRuleParams& p, const Piece& piece,
                        size_t head) {
  const DeltaRuleLayout layout(p.key_dim, p.value_dim);
  HeadMemory m{};
  m.ldk = layout.padded_keys;
  m.ldv = layout.padded_values;
  m.state = p.state + head * layout.head_stride;
  m.keys = m.state + layout.keys_at;
  m.updates = m.state + layout.updates_at;
  m.decays = m.state + layout.decays_at;
  constexpr size_t kSquare = kDeltaRuleChunk * kDeltaRuleChunk;
  const size_t key_floats = kDeltaRuleChunk * m.ldk;
  const size_t rows = piece.end - piece.row;
  m.key_in = ThreadScratch(2 * rows * (m.ldk + m.ldv) + key_floats +
                           2 * kSquare + m.ldk);
  m.query_in = m.key_in + rows * m.ldk;
  m.result = m.query_in + rows * m.ldk;
  m.key_out = m.result + 2 * rows * m.ldv;
  m.key_products = m.key_out + key_floats;
  m.query_products = m.key_products + kSquare;
  m.factors = m.query_products + kSquare;
  return m;
}

// What has decayed to less than this is zero: its share of a sum is far below
// the rounding, but as a subnormal number it would slow down every product on
// some CPUs a hundredfold.
inline constexpr float kNegligible = 1e-30f;

HWY_INLINE VF DropNegligible(VF v) {
  return hn::IfThenZeroElse(hn::Lt(hn::Abs(v), hn::Set(DF(), kNegligible)), v);
}

// decays[j] = exp(from - sums[j]) for j up to `last`, 0 behind it.
HWY_INLINE void Decays(double from, const double* sums, size_t last,
                       float* decays) {
  for (size_t j = 0; j < kPanel; ++j) {
    decays[j] = static_cast<float>(from - sums[j]);
  }
  const DF d;
  const hn::RebindToSigned<DF> di;
  for (size_t j = 0; j < kPanel; j += kLanes) {
    const auto known = hn::Lt(hn::Iota(di, static_cast<int32_t>(j)),
                              hn::Set(di, static_cast<int32_t>(last + 1)));
    const VF decay = DropNegligible(hn::Exp(d, hn::LoadU(d, decays + j)));
    hn::StoreU(hn::IfThenElseZero(hn::RebindMask(d, known), decay), d,
               decays + j);
  }
}

// exp(x) for x <= 0.
HWY_INLINE float Decay(double x) {
  const DF d;
  return hn::GetLane(
      DropNegligible(hn::Exp(d, hn::Set(d, static_cast<float>(x)))));
}

// out = in * factors, and nothing of what becomes negligible. `count` in whole
// groups; `out` may be `in`.
HWY_INLINE void MultiplyGroups(const float* in, const float* factors,
                               size_t count, float* out) {
  const DF d;
  for (size_t i = 0; i < count; i += kLanes) {
    hn::StoreU(DropNegligible(
                   hn::Mul(hn::LoadU(d, in + i), hn::LoadU(d, factors + i))),
               d, out + i);
  }
}

HWY_INLINE void CopyPadded(const float* from, size_t count, size_t padded,
                           float* to) {
  std::memcpy(to, from, count * sizeof(float));
  std::memset(to + count, 0, (padded - count) * sizeof(float));
}

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

// Products [piece.row, piece.end) of rows of k or q with the chunk's keys.
HWY_INLINE void RowsTimesKeys(const float* rows, size_t ld, size_t key_dim,
                              const Piece& piece, const float* keys,
                              float* products) {
  for (size_t row = piece.row; row < piece.end; row += kMaxRows) {
    TileOfPanels<Layout::kRowMajor>(
        HWY_MIN(kMaxRows, piece.end - row), 1, rows + (row - piece.row) * ld,
        ld, keys, 0, key_dim, products + row * kPanel, kPanel, kOntoNothing);
  }
}

// What keys, queries and decays alone determine, where a head has one decay.
// `decay_sum` gets G.
void PreparePerHead(const DeltaRuleParams& p, const Piece& piece, size_t head,
                    const HeadMemory& m, double* decay_sum) {
  const size_t dim = p.key_dim;
  const size_t key_at = head / (p.value_heads / p.key_heads) * dim;
  const float* k = p.k + piece.token * p.ldk + key_at;
  const float* q = p.q + piece.token * p.ldq + key_at;
  const size_t rows = piece.end - piece.row;
  if (piece.row == 0) {
    PackRows(k, p.ldk, rows, dim, m.keys);
  } else {
    for (size_t c = 0; c < dim; ++c) {
      for (size_t r = 0; r < rows; ++r) {
        m.keys[c * kPanel + piece.row + r] = k[r * p.ldk + c];
      }
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    m.decays[piece.row + r] = p.g[(piece.token + r) * p.ldg + head];
  }
  // In f64: differences of these sums are exponents, so an absolute error here
  // is a relative error of the result.
  double sum = 0.0;
  for (size_t t = 0; t < piece.end; ++t) {
    sum += m.decays[t];
    decay_sum[t] = sum;
  }
  RowsTimesKeys(k, p.ldk, dim, piece, m.keys, m.key_products);
  RowsTimesKeys(q, p.ldq, dim, piece, m.keys, m.query_products);
  for (size_t t = piece.row; t < piece.end; ++t) {
    HWY_ALIGN float weights[kPanel];
    Decays(decay_sum[t], decay_sum, t, weights);
    float* key_products = m.key_products + t * kPanel;
    float* query_products = m.query_products + t * kPanel;
    MultiplyGroups(key_products, weights, kPanel, key_products);
    MultiplyGroups(query_products, weights, kPanel, query_products);
    const size_t r = t - piece.row;
    const float decay = Decay(decay_sum[t]);
    if (piece.token + r + rows < p.tokens) {
      FetchRow(k + (r + rows) * p.ldk, dim);
      FetchRow(q + (r + rows) * p.ldq, dim);
    }
    CopyPadded(k + r * p.ldk, dim, m.ldk, m.key_in + r * m.ldk);
    ScaleInPlace(m.key_in + r * m.ldk, m.ldk, decay);
    CopyPadded(q + r * p.ldq, dim, m.ldk, m.query_in + r * m.ldk);
    ScaleInPlace(m.query_in + r * m.ldk, m.ldk, decay);
  }
}

// The chunk's keys, [key_dim][chunk], decayed on to token `t`, which then takes
// its place among them; and its products with them, before for k and after for
// q. Two chains of additions for each, of the even and of the odd channels: one
// would wait for itself.
void AdvanceKeys(const float* k, const float* q, const float* factors,
                 size_t dim, size_t t, float* keys, float* key_products,
                 float* query_products) {
  const DF d;
  HWY_ALIGN float lanes[kPanel] = {};
  lanes[t] = 1.0f;
  VF key_sums[2][kVecs];
  VF query_sums[2][kVecs];
  BRAID_UNROLL
  for (size_t j = 0; j < kVecs; ++j) {
    key_sums[0][j] = key_sums[1][j] = hn::Zero(d);
    query_sums[0][j] = query_sums[1][j] = hn::Zero(d);
  }
  const auto channel = [&](size_t c, VF(&key_sum)[kVecs],
                           VF(&query_sum)[kVecs]) {
    const VF factor = hn::Set(d, factors[c]);
    const VF key = hn::Set(d, k[c]);
    const VF query = hn::Set(d, q[c]);
    BRAID_UNROLL
    for (size_t j = 0; j < kVecs; ++j) {
      float* at = keys + c * kPanel + j * kLanes;
      VF v = DropNegligible(hn::Mul(hn::LoadU(d, at), factor));
      key_sum[j] = hn::MulAdd(v, key, key_sum[j]);
      // Lane t is zero so far.
      v = hn::MulAdd(hn::Load(d, lanes + j * kLanes), key, v);
      query_sum[j] = hn::MulAdd(v, query, query_sum[j]);
      hn::StoreU(v, d, at);
    }
  };
  size_t c = 0;
  for (; c + 2 <= dim; c += 2) {
    channel(c, key_sums[0], query_sums[0]);
    channel(c + 1, key_sums[1], query_sums[1]);
  }
  if (c < dim) channel(c, key_sums[0], query_sums[0]);
  BRAID_UNROLL
  for (size_t j = 0; j < kVecs; ++j) {
    hn::StoreU(hn::Add(key_sums[0][j], key_sums[1][j]), d,
               key_products + j * kLanes);
    hn::StoreU(hn::Add(query_sums[0][j], query_sums[1][j]), d,
               query_products + j * kLanes);
  }
}

// The same where each key channel has its decay: keys are decayed from token to
// token, and meet each as they are then. Unlike differences of sums, that costs
// one rounding each whatever their size.
void PreparePerChannel(const DeltaRuleParams& p, const Piece& piece,
                       size_t head, const HeadMemory& m) {
  const size_t dim = p.key_dim;
  const size_t key_at = head / (p.value_heads / p.key_heads) * dim;
  for (size_t t = piece.row; t < piece.end; ++t) {
    const size_t token = piece.token + t - piece.row;
    const float* k = p.k + token * p.ldk + key_at;
    const float* q = p.q + token * p.ldq + key_at;
    CopyPadded(p.g + token * p.ldg + head * dim, dim, m.ldk, m.factors);
    ExpSum(m.factors, m.ldk, 0.0f);
    if (t == 0) {
      std::memcpy(m.decays, m.factors, m.ldk * sizeof(float));
      std::memset(m.keys, 0, dim * kPanel * sizeof(float));
    } else {
      MultiplyGroups(m.decays, m.factors, m.ldk, m.decays);
    }
    AdvanceKeys(k, q, m.factors, dim, t, m.keys, m.key_products + t * kPanel,
                m.query_products + t * kPanel);
    float* key_in = m.key_in + (t - piece.row) * m.ldk;
    float* query_in = m.query_in + (t - piece.row) * m.ldk;
    CopyPadded(k, dim, m.ldk, key_in);
    MultiplyGroups(key_in, m.decays, m.ldk, key_in);
    CopyPadded(q, dim, m.ldk, query_in);
    MultiplyGroups(query_in, m.decays, m.ldk, query_in);
  }
}

// The triangular system and y.
void SolvePiece(const DeltaRuleParams& p, const Piece& piece, size_t head,
                const HeadMemory& m) {
  const size_t dim = p.value_dim;
  const size_t panels = PanelsFor(dim);
  const size_t rows = piece.end - piece.row;
  constexpr size_t kStride = kDeltaRuleChunk * kPanel;  // of m.updates
  for (size_t row = 0; row < 2 * rows; row += kMaxRows) {
    TileOfPanels<Layout::kRowMajor>(
        HWY_MIN(kMaxRows, 2 * rows - row), panels, m.key_in + row * m.ldk,
        m.ldk, m.state, p.key_dim * kPanel, p.key_dim, m.result + row * m.ldv,
        m.ldv, kOntoNothing);
  }
  for (size_t r = 0; r < rows; ++r) {
    const size_t token = piece.token + r;
    const size_t row = piece.row + r;
    const float beta = p.beta[token * p.ldbeta + head];
    float* update = m.result + r * m.ldv;
    float* products = m.key_products + row * kPanel;
    const float* v = p.v + token * p.ldv + head * dim;
    if (token + rows < p.tokens) FetchRow(v + rows * p.ldv, dim);
    TargetMinus(update, v, dim, beta);
    ScaleInPlace(products, kPanel, -beta);
    TileOfPanels<Layout::kRowMajor>(1, panels, products, kPanel, m.updates,
                                    kStride, row, update, m.ldv, kOntoC);
    PackColumnsRow(update, m.ldv, kDeltaRuleChunk, m.updates + row * kPanel);
  }
  float* y = m.result + rows * m.ldv;
  for (size_t row = piece.row; row < piece.end; row += kMaxRows) {
    const size_t end = HWY_MIN(row + kMaxRows, piece.end);
    float* mixing = m.query_products + row * kPanel;
    for (size_t r = 0; r < end - row; ++r) {
      for (size_t j = row + r + 1; j < end; ++j) mixing[r * kPanel + j] = 0.0f;
    }
    TileOfPanels<Layout::kRowMajor>(
        end - row, panels, mixing, kPanel, m.updates, kStride, end,
        y + (row - piece.row) * m.ldv, m.ldv, kOntoC);
  }
  for (size_t r = 0; r < rows; ++r) {
    std::memcpy(p.y + (piece.token + r) * p.ldy + head * dim, y + r * m.ldv,
                dim * sizeof(float));
  }
}

// S after the whole chunk: decay[c] S[c] + sum over j of keys[c][j] u[j].
void AdvanceDeltaState(const DeltaRuleParams& p, const float* decay,
                       const float* keys, const HeadMemory& m) {
  for (size_t panel = 0; panel < PanelsFor(p.value_dim); ++panel) {
    float* state = m.state + panel * p.key_dim * kPanel;
    for (size_t row = 0; row < p.key_dim; row += kMaxRows) {
      Tile<1, Layout::kPanelRows>(
          HWY_MIN(kMaxRows, p.key_dim - row), keys + row * kPanel, kPanel,
          m.updates + panel * kDeltaRuleChunk * kPanel, 0, kDeltaRuleChunk,
          state + row * kPanel, kPanel, Onto{.c = true, .scale = decay + row},
          Ahead{.from = keys, .step = 0});
    }
  }
}

void DeltaRulePiece(const DeltaRuleParams& p, const Piece& piece, size_t head) {
  const HeadMemory m = HeadMemoryOf(p, piece, head);
  double decay_sum[kDeltaRuleChunk] = {};
  if (p.decay_per_key_channel) {
    PreparePerChannel(p, piece, head, m);
  } else {
    PreparePerHead(p, piece, head, m, decay_sum);
  }
  SolvePiece(p, piece, head, m);
  if (piece.end < kDeltaRuleChunk) return;
  if (p.decay_per_key_channel) {
    AdvanceDeltaState(p, m.decays, m.keys, m);
    return;
  }
  const double sum = decay_sum[kDeltaRuleChunk - 1];
  HWY_ALIGN float weights[kPanel];
  Decays(sum, decay_sum, kPanel - 1, weights);
  for (size_t c = 0; c < p.key_dim; ++c) {
    MultiplyGroups(m.keys + c * kPanel, weights, kPanel,
                   m.key_out + c * kPanel);
  }
  std::fill_n(m.factors, p.key_dim, Decay(sum));
  AdvanceDeltaState(p, m.factors, m.key_out, m);
}

void DeltaRuleHead(const DeltaRuleParams& p, size_t head) {
  size_t row = p.past_tokens % kDeltaRuleChunk;
  for (size_t token = 0; token < p.tokens; row = 0) {
    const size_t end = HWY_MIN(kDeltaRuleChunk, row + p.tokens - token);
    DeltaRulePiece(p, Piece{token, row, end}, head);
    token += end - row;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace braid::kernels {
namespace {

HWY_EXPORT(DeltaRuleHead);

// Fewer multiply-adds than this are not worth waking a thread for.
constexpr size_t kMinTaskWork = 100'000;

}  // namespace

size_t DeltaRuleStateFloats(size_t value_heads, size_t key_dim,
                            size_t value_dim) {
  return value_heads * DeltaRuleLayout(key_dim, value_dim).head_stride;
}

void DeltaRule(const DeltaRuleParams& params, ThreadPool* pool) {
  const auto run = [&](size_t begin, size_t end) {
    for (size_t head = begin; head < end; ++head) {
      HWY_DYNAMIC_DISPATCH(DeltaRuleHead)(params, head);
    }
  };
  const size_t work = params.tokens * params.key_dim * params.value_dim * 3;
  ParallelFor(pool, params.value_heads, GrainOf(kMinTaskWork, work), run);
}

}  // namespace braid::kernels
#endif  // HWY_ONCE
