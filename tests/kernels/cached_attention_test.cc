#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention.h"
#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kInt8};
constexpr const char* kTypeNames[] = {"f32", "f16", "int8"};

struct Case {
  size_t m, t, heads, kv_heads, dim;
  size_t value_dim = 0;  // 0: dim
  bool values_in_keys = false;
};

// A sequence of t tokens, of which the last m are looked at, or all.
struct Sequence {
  Sequence(const Case& c, KvType type)
      : shape{.kv_heads = c.kv_heads,
              .head_dim = c.dim,
              .value_dim = c.value_dim == 0 ? c.dim : c.value_dim,
              .values_in_keys = c.values_in_keys,
              .type = type},
        heads(c.heads),
        t(c.t),
        q(Random(t * heads * c.dim, 1, -2, 2)),
        k(Random(t * shape.kv_heads * c.dim, 2, -2, 2)),
        v(Random(t * shape.kv_heads * shape.value_dim, 3, -2, 2)) {}

  size_t ldq() const { return heads * shape.head_dim; }
  size_t ldo() const { return heads * shape.value_dim; }

  KvCache NewCache() const { return KvCache(shape); }
  void Append(size_t begin, size_t end, KvCache* cache) const {
    const size_t ldk = shape.kv_heads * shape.head_dim;
    const size_t ldv = shape.kv_heads * shape.value_dim;
    cache->Append(k.data() + begin * ldk, ldk,
                  shape.values_in_keys ? nullptr : v.data() + begin * ldv, ldv,
                  end - begin);
  }
  CachedAttentionParams Params(size_t begin, size_t end, const KvCache& cache,
                               float* out) const {
    return {.q = q.data() + begin * ldq(),
            .ldq = ldq(),
            .m = end - begin,
            .cache = &cache,
            .heads = heads,
            .scale = 0.3f,
            .out = out,
            .ldo = ldo()};
  }

  // The results of the tokens from `first` on, which come in pieces.
  std::vector<float> InPieces(size_t first, size_t piece,
                              ThreadPool* pool) const {
    KvCache cache = NewCache();
    Append(0, first, &cache);
    std::vector<float> out((t - first) * ldo());
    for (size_t begin = first; begin < t; begin += piece) {
      const size_t end = std::min(t, begin + piece);
      Append(begin, end, &cache);
      CachedAttention(
          Params(begin, end, cache, out.data() + (begin - first) * ldo()),
          pool);
    }
    return out;
  }

  std::vector<float> KeptKeys() const {
    return reference::AsKept(shape.type, k, shape.head_dim);
  }
  std::vector<float> KeptValues() const {
    if (!shape.values_in_keys) {
      return reference::AsKept(shape.type, v, shape.value_dim);
    }
    const std::vector<float> keys = KeptKeys();
    std::vector<float> values;
    for (size_t i = 0; i < t * shape.kv_heads; ++i) {
      const auto key = keys.begin() + i * shape.head_dim;
      values.insert(values.end(), key, key + shape.value_dim);
    }
    return values;
  }

  const KvShape shape;
  const size_t heads;
  const size_t t;
  const std::vector<float> q, k, v;
};

// One token and many; around the limits of panels (16), pages (128), segments
// (1024), tiles and blocks; with and without groups; few heads and many.
constexpr Case kCases[] = {
    {1, 1, 1, 1, 8},
    {1, 127, 4, 4, 16},
    {1, 129, 12, 4, 64},
    {1, 300, 32, 2, 20},
    {2, 5, 4, 2, 32},
    {5, 5, 12, 4, 32},
    {13, 140, 6, 2, 24},
    {97, 97, 4, 4, 16},
    {100, 356, 6, 1, 32},
    {64, 128, 8, 2, 128},
    {150, 400, 3, 3, 7},
    {1, 1024, 12, 4, 64},
    {1, 1025, 32, 2, 128},
    {3, 1026, 16, 2, 256},
    {1, 2100, 24, 1, 72},
    {40, 2100, 8, 2, 80},
    {17, 1030, 16, 1, 64},
    // Values narrower and wider than keys.
    {7, 140, 6, 2, 24, 1},
    {1, 300, 32, 2, 20, 43},
    {70, 1100, 4, 2, 20, 13},
    // Latent attention.
    {1, 150, 13, 1, 75, 66, true},
    {2, 1100, 13, 1, 75, 66, true},
    {40, 150, 13, 1, 72, 64, true},
    {1, 2100, 32, 1, 576, 512, true},
};

TEST(CachedAttention, AgreesWithDefinition) {
  ThreadPool pool(3);
  for (const KvType type : kTypes) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(testing::Message()
                   << c.m << " of " << c.t << ", " << c.heads << "/"
                   << c.kv_heads << " heads of " << c.dim << ", "
                   << kTypeNames[static_cast<int>(type)]);
      const Sequence sequence(c, type);
      KvCache cache = sequence.NewCache();
      sequence.Append(0, c.t, &cache);
      std::vector<float> out(c.m * sequence.ldo());
      CachedAttentionParams p =
          sequence.Params(c.t - c.m, c.t, cache, out.data());
      const std::vector<double> expected = reference::CachedAttention(
          p, sequence.KeptKeys(), sequence.KeptValues());
      ForEachTarget([&] {
        for (ThreadPool* threads : {&pool, static_cast<ThreadPool*>(nullptr)}) {
          std::fill(out.begin(), out.end(), NAN);
          CachedAttention(p, threads);
          // Queries are rounded too where products are of integers.
          EXPECT_LT(reference::MaxError(out, expected),
                    type == KvType::kInt8 ? 5e-4 : 2e-5);
        }
      });
    }
  }
}

TEST(CachedAttention, ATokenIsTheSameHoweverManyComeWithItAndRunIt) {
  ThreadPool two(2);
  ThreadPool five(5);
  for (const KvType type : kTypes) {
    for (const Case& c : kCases) {
      if (c.dim > 256) continue;  // takes long, and is like the others
      const Sequence sequence(c, type);
      // Of a long sequence its end, which begins inside a page.
      const size_t first = c.t < 500 ? 0 : c.t - 14;
      ForEachTarget([&] {
        const std::vector<float> whole = sequence.InPieces(first, c.t, nullptr);
        EXPECT_EQ(sequence.InPieces(first, c.t, &two), whole);
        for (const size_t piece : {1, 5, 70}) {
          if (piece > c.t - first) continue;
          EXPECT_EQ(sequence.InPieces(first, piece, piece == 5 ? &five : &two),
                    whole)
              << piece << " of " << c.t;
        }
      });
    }
  }
}

TEST(CachedAttention, LargeScoresDoNotOverflow) {
  ForEachTarget([] {
    for (const KvType type : kTypes) {
      const Case c{200, 200, 1, 1, 16};
      Sequence sequence(c, type);
      for (const size_t m : {size_t{1}, c.t}) {
        KvCache cache = sequence.NewCache();
        sequence.Append(0, c.t, &cache);
        std::vector<float> out(m * sequence.ldo());
        CachedAttentionParams p =
            sequence.Params(c.t - m, c.t, cache, out.data());
        p.scale = 700.0f;
        CachedAttention(p, nullptr);
        // Scores around 10^4 carry an f32 error of about 10^-3.
        EXPECT_LT(reference::MaxError(
                      out, reference::CachedAttention(p, sequence.KeptKeys(),
                                                      sequence.KeptValues())),
                  2e-2);
      }
    }
  });
}

// What a token's keys and values are does not matter to those before it, even
// where they share a page, and even if it is as large as can be.
TEST(CachedAttention, TokensDoNotSeeTheFuture) {
  ForEachTarget([] {
    for (const KvType type : kTypes) {
      const size_t t = 140, dim = 16;
      const std::vector<float> q = Random(t * dim, 1, -2, 2);
      std::vector<float> k = Random(t * dim, 2, -2, 2);
      std::vector<std::vector<float>> outputs;
      for (const float last : {0.0f, 6e4f}) {
        std::fill(k.end() - 5 * dim, k.end(), last);
        KvCache cache(
            {.kv_heads = 1, .head_dim = dim, .value_dim = dim, .type = type});
        cache.Append(k.data(), dim, k.data(), dim, t);
        std::vector<float>& out = outputs.emplace_back(t * dim);
        CachedAttention({.q = q.data(),
                         .ldq = dim,
                         .m = t,
                         .cache = &cache,
                         .heads = 1,
                         .out = out.data(),
                         .ldo = dim},
                        nullptr);
        out.resize((t - 5) * dim);
      }
      EXPECT_EQ(outputs[0], outputs[1]);
    }
  });
}

}  // namespace
}  // namespace braid::kernels
