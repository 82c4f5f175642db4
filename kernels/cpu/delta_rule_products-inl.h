// The first half of a chunk of the gated delta rule: what keys, queries and
// decays alone determine. Included once per instruction set.
#if defined(BRAID_KERNELS_CPU_DELTA_RULE_PRODUCTS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BRAID_KERNELS_CPU_DELTA_RULE_PRODUCTS_INL_H_
#undef BRAID_KERNELS_CPU_DELTA_RULE_PRODUCTS_INL_H_
#else
#define BRAID_KERNELS_CPU_DELTA_RULE_PRODUCTS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/micro_kernel-inl.h"
#include "kernels/cpu/scratch.h"
#include "kernels/delta_rule.h"

HWY_BEFORE_NAMESPACE();
namespace braid::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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
// in exact arithmetic too, for all that f32 can tell.

// Working memory of one head, carved out of the thread's scratch. "Padded" is
// to whole panels, with zeros.
struct HeadScratch {
  size_t ldk;  // padded key_dim
  size_t ldv;  // padded value_dim

  float* state;     // S in panels: [value_dim / 16][key_dim][16]
  float* decay;     // exp(G[L-1]): [key_dim]
  float* key_in;    // exp(G[i]) k[i]: [chunk, padded key_dim]
  float* query_in;  // exp(G[i]) q[i]: [chunk, padded key_dim]
  // exp(G[L-1] - G[j]) k[j] in panels of tokens: [chunk / 16][key_dim][16]
  float* key_out;
  // exp(G[i] - G[j]) k[i] . k[j] for j < i, and with q[i] for j <= i: both
  // [chunk, chunk]. The rest is undefined.
  float* key_products;
  float* query_products;
  float* updates;  // u in panels: [value_dim / 16][length][16]
  float* result;   // [kMaxRows, padded value_dim]
  // Only with a decay for each channel: exp(g), [chunk, padded key_dim], and
  // one row to work in.
  float* factors;
  float* decayed;
};

inline HeadScratch CarveHeadScratch(const DeltaRuleParams& p) {
  constexpr size_t kChunk = kDeltaRuleChunk;
  HeadScratch s{};
  s.ldk = PanelsFor(p.key_dim) * kPanel;
  s.ldv = PanelsFor(p.value_dim) * kPanel;
  const size_t state_floats = s.ldv * p.key_dim;
  const size_t key_floats = kChunk * s.ldk;
  float* at =
      ThreadScratch(state_floats + 2 * s.ldk + 4 * key_floats +
                    2 * kChunk * kChunk + kChunk * s.ldv + kMaxRows * s.ldv);
  const auto take = [&at](size_t floats) {
    float* begin = at;
    at += floats;
    return begin;
  };
  s.state = take(state_floats);
  s.decay = take(s.ldk);
  s.key_in = take(key_floats);
  s.query_in = take(key_floats);
  s.key_out = take(key_floats);
  s.key_products = take(kChunk * kChunk);
  s.query_products = take(kChunk * kChunk);
  s.updates = take(kChunk * s.ldv);
  s.result = take(kMaxRows * s.ldv);
  s.factors = take(key_floats);
  s.decayed = take(s.ldk);
  return s;
}

// `count` in whole groups, here and below.
HWY_INLINE void FillGroups(float* row, size_t count, float value) {
  const DF d;
  const VF v = hn::Set(d, value);
  for (size_t i = 0; i < count; i += kLanes) hn::StoreU(v, d, row + i);
}

// q . k of one token, in the order of a matrix product: where it nearly
// cancels, a chunk and a step must round alike.
HWY_INLINE float ChainDot(const float* q, const float* k, size_t count) {
  const hn::CappedTag<float, 1> one;
  auto sum = hn::Zero(one);
  for (size_t c = 0; c < count; ++c) {
    sum = hn::MulAdd(hn::Load(one, q + c), hn::Load(one, k + c), sum);
  }
  return hn::GetLane(sum);
}

// What has decayed to less than this is zero: its share of a sum is far below
// the rounding, but as a subnormal number it would slow down every product on
// some CPUs a hundredfold.
inline constexpr float kNegligible = 1e-30f;

HWY_INLINE VF DropNegligible(VF v) {
  return hn::IfThenZeroElse(hn::Lt(hn::Abs(v), hn::Set(DF(), kNegligible)), v);
}

// exp(x) for x <= 0.
HWY_INLINE float Decay(double x) {
  const float decay = static_cast<float>(std::exp(x));
  return decay < kNegligible ? 0.0f : decay;
}

// row *= factors
HWY_INLINE void MultiplyGroups(float* row, const float* factors, size_t count) {
  const DF d;
  for (size_t i = 0; i < count; i += kLanes) {
    const VF product =
        hn::Mul(hn::LoadU(d, row + i), hn::LoadU(d, factors + i));
    hn::StoreU(DropNegligible(product), d, row + i);
  }
}

// Copies a row of `count` and fills it up with zeros to `padded`.
HWY_INLINE void CopyPadded(const float* from, size_t count, size_t padded,
                           float* to) {
  std::memcpy(to, from, count * sizeof(float));
  std::memset(to + count, 0, (padded - count) * sizeof(float));
}

// out[i][j] = rows[i] . keys[j] for i in [begin, end) and all columns of
// `panels` panels, keys in panels.
inline void RowsTimesKeys(const float* rows, size_t ld, size_t begin,
                          size_t end, const float* keys, size_t panels,
                          size_t key_dim, float* out) {
  const size_t length = end - begin;
  const size_t tiles = (length + kMaxRows - 1) / kMaxRows;
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t row = begin + tile * length / tiles;
    const size_t count = begin + (tile + 1) * length / tiles - row;
    TileOfPanels<Layout::kRowMajor>(
        count, panels, rows + row * ld, ld, keys, key_dim * kPanel, key_dim,
        out + row * kDeltaRuleChunk, kDeltaRuleChunk, /*accumulate=*/false);
  }
}

// Fills the scratch for a chunk (all but state and updates), where a head has
// one decay: the products are those of the keys as they are, times a number.
inline void PrepareChunkPerHead(const DeltaRuleParams& p, size_t begin,
                                size_t length, size_t head,
                                const HeadScratch& s) {
  const size_t key_at = head / (p.value_heads / p.key_heads) * p.key_dim;
  const float* q = p.q + begin * p.ldq + key_at;
  const float* k = p.k + begin * p.ldk + key_at;

  // In f64: differences of these sums are exponents, so an absolute error here
  // is a relative error of the result.
  double decay_sum[kDeltaRuleChunk];
  double sum = 0.0;
  for (size_t t = 0; t < length; ++t) {
    sum += p.g[(begin + t) * p.ldg + head];
    decay_sum[t] = sum;
  }

  PackRows(k, p.ldk, length, p.key_dim, s.key_out);
  // Panels of which every product is above the diagonal are left out.
  for (size_t row = 0; row < length; row += kPanel) {
    const size_t end = std::min(length, row + kPanel);
    RowsTimesKeys(k, p.ldk, row, end, s.key_out, PanelsFor(end), p.key_dim,
                  s.key_products);
    RowsTimesKeys(q, p.ldq, row, end, s.key_out, PanelsFor(end), p.key_dim,
                  s.query_products);
  }
  HWY_ALIGN float weights[kDeltaRuleChunk];
  for (size_t t = 0; t < length; ++t) {
    for (size_t j = 0; j <= t; ++j) {
      weights[j] = static_cast<float>(decay_sum[t] - decay_sum[j]);
    }
    ExpSum(weights, t + 1, 0.0f);
    std::memset(weights + t + 1, 0, sizeof(weights) - (t + 1) * sizeof(float));
    MultiplyGroups(s.key_products + t * kDeltaRuleChunk, weights,
                   PanelsFor(t + 1) * kPanel);
    MultiplyGroups(s.query_products + t * kDeltaRuleChunk, weights,
                   PanelsFor(t + 1) * kPanel);
    const float decay = Decay(decay_sum[t]);
    CopyPadded(k + t * p.ldk, p.key_dim, s.ldk, s.key_in + t * s.ldk);
    ScaleInPlace(s.key_in + t * s.ldk, s.ldk, decay);
    CopyPadded(q + t * p.ldq, p.key_dim, s.ldk, s.query_in + t * s.ldk);
    ScaleInPlace(s.query_in + t * s.ldk, s.ldk, decay);
  }

  std::memset(weights, 0, sizeof(weights));
  for (size_t j = 0; j < length; ++j) {
    weights[j] = Decay(sum - decay_sum[j]);
  }
  for (size_t panel = 0; panel < PanelsFor(length); ++panel) {
    float* keys = s.key_out + panel * p.key_dim * kPanel;
    for (size_t c = 0; c < p.key_dim; ++c) {
      MultiplyGroups(keys + c * kPanel, weights + panel * kPanel, kPanel);
    }
  }
  FillGroups(s.decay, s.ldk, Decay(sum));
}

// The products of one block of tokens, [begin, end), with itself, where they
// are no matrix product: key j is decayed from token to token and meets each as
// it is then. Reads the plain keys and queries in key_in and query_in.
inline void DiagonalProducts(const HeadScratch& s, size_t begin, size_t end) {
  const DF d;
  for (size_t j = begin; j < end; ++j) {
    std::memcpy(s.decayed, s.key_in + j * s.ldk, s.ldk * sizeof(float));
    s.query_products[j * kDeltaRuleChunk + j] =
        ChainDot(s.query_in + j * s.ldk, s.decayed, s.ldk);
    for (size_t i = j + 1; i < end; ++i) {
      const float* factors = s.factors + i * s.ldk;
      const float* key = s.key_in + i * s.ldk;
      const float* query = s.query_in + i * s.ldk;
      PartialSums key_sums;
      PartialSums query_sums;
      for (size_t c = 0; c < s.ldk; c += kGroup) {
        BRAID_UNROLL
        for (size_t x = 0; x < kVecs; ++x) {
          const size_t at = c + x * kLanes;
          const VF decayed = DropNegligible(hn::Mul(
              hn::LoadU(d, s.decayed + at), hn::LoadU(d, factors + at)));
          hn::StoreU(decayed, d, s.decayed + at);
          key_sums.v[x] =
              hn::MulAdd(decayed, hn::LoadU(d, key + at), key_sums.v[x]);
          query_sums.v[x] =
              hn::MulAdd(decayed, hn::LoadU(d, query + at), query_sums.v[x]);
        }
      }
      s.key_products[i * kDeltaRuleChunk + j] = FastTotal(key_sums);
      s.query_products[i * kDeltaRuleChunk + j] = FastTotal(query_sums);
    }
  }
}

// The same as PrepareChunkPerHead, where each key channel has its decay. In
// blocks of one panel of tokens. With R the sum of g before a block, the
// products of its tokens with those of earlier blocks are
//
//   (exp(G[i] - R) k[i]) . (exp(R - G[j]) k[j])
//
// a matrix product with exponents at most 0 on both sides. Decays are
// multiplied up from token to token: unlike differences of sums, that costs one
// rounding each whatever their size.
inline void PrepareChunkPerChannel(const DeltaRuleParams& p, size_t begin,
                                   size_t length, size_t head,
                                   const HeadScratch& s) {
  const size_t dim = p.key_dim;
  const size_t key_at = head / (p.value_heads / p.key_heads) * dim;
  for (size_t t = 0; t < length; ++t) {
    const size_t at = t * s.ldk;
    const size_t token = begin + t;
    CopyPadded(p.k + token * p.ldk + key_at, dim, s.ldk, s.key_in + at);
    CopyPadded(p.q + token * p.ldq + key_at, dim, s.ldk, s.query_in + at);
    CopyPadded(p.g + token * p.ldg + head * dim, dim, s.ldk, s.factors + at);
    ExpSum(s.factors + at, dim, 0.0f);
  }

  FillGroups(s.decay, s.ldk, 1.0f);  // up to the block at hand
  for (size_t block = 0; block < length; block += kPanel) {
    const size_t end = std::min(length, block + kPanel);
    DiagonalProducts(s, block, end);

    // The block's keys as they are at its end.
    float* keys = s.key_out + block * dim;
    FillGroups(s.decayed, s.ldk, 1.0f);
    for (size_t j = end; j-- > block;) {
      const float* key = s.key_in + j * s.ldk;
      for (size_t c = 0; c < dim; ++c) {
        keys[c * kPanel + j - block] = key[c] * s.decayed[c];
      }
      MultiplyGroups(s.decayed, s.factors + j * s.ldk, s.ldk);
    }

    for (size_t i = block; i < end; ++i) {
      float* factors = s.factors + i * s.ldk;  // from the block's start
      if (i > block) MultiplyGroups(factors, factors - s.ldk, s.ldk);
      MultiplyGroups(s.key_in + i * s.ldk, factors, s.ldk);
      MultiplyGroups(s.query_in + i * s.ldk, factors, s.ldk);
    }
    const size_t earlier = block / kPanel;
    RowsTimesKeys(s.key_in, s.ldk, block, end, s.key_out, earlier, dim,
                  s.key_products);
    RowsTimesKeys(s.query_in, s.ldk, block, end, s.key_out, earlier, dim,
                  s.query_products);

    // On to the chunk's start, and to the block's end.
    for (size_t i = block; i < end; ++i) {
      MultiplyGroups(s.key_in + i * s.ldk, s.decay, s.ldk);
      MultiplyGroups(s.query_in + i * s.ldk, s.decay, s.ldk);
    }
    const float* block_decay = s.factors + (end - 1) * s.ldk;
    for (size_t b = 0; b < earlier; ++b) {
      for (size_t c = 0; c < dim; ++c) {
        HWY_ALIGN float decay[kPanel];
        FillGroups(decay, kPanel, block_decay[c]);
        MultiplyGroups(s.key_out + (b * dim + c) * kPanel, decay, kPanel);
      }
    }
    MultiplyGroups(s.decay, block_decay, s.ldk);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace braid::kernels
HWY_AFTER_NAMESPACE();

#endif  // BRAID_KERNELS_CPU_DELTA_RULE_PRODUCTS_INL_H_
