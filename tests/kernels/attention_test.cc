#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

TEST(PackedAttention, AgreesWithDefinitionForMixedLengths) {
  ThreadPool pool(3);
  const std::vector<size_t> offsets = {0, 1, 3, 10, 26, 43, 43 + 130};
  ForEachTarget([&] {
    for (const size_t dim : {1, 8, 20, 32, 64}) {
      const size_t heads = 3;
      const size_t width = heads * dim;
      const size_t total = offsets.back();
      const std::vector<float> qkv = Random(total * 3 * width, 1, -2, 2);
      std::vector<float> out(total * width);
      const PackedAttentionParams p{
          .q = qkv.data(),
          .k = qkv.data() + width,
          .v = qkv.data() + 2 * width,
          .ld = 3 * width,
          .offsets = offsets.data(),
          .num_sequences = offsets.size() - 1,
          .heads = heads,
          .head_dim = dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(dim)),
          .out = out.data(),
          .ldo = width};
      PackedAttention(p, &pool);
      EXPECT_LT(reference::MaxError(out, reference::PackedAttention(p)), 3e-6)
          << dim;
    }
  });
}

TEST(PackedAttention, SequencesDoNotSeeEachOther) {
  ForEachTarget([] {
    const size_t dim = 16, heads = 2, width = heads * dim, length = 40;
    const std::vector<float> qkv = Random(3 * length * 3 * width, 1);
    const auto run = [&](const std::vector<size_t>& offsets, size_t first) {
      const float* base = qkv.data() + first * 3 * width;
      std::vector<float> out(offsets.back() * width);
      PackedAttention({.q = base,
                       .k = base + width,
                       .v = base + 2 * width,
                       .ld = 3 * width,
                       .offsets = offsets.data(),
                       .num_sequences = offsets.size() - 1,
                       .heads = heads,
                       .head_dim = dim,
                       .scale = 0.25f,
                       .out = out.data(),
                       .ldo = width},
                      nullptr);
      return out;
    };
    const std::vector<float> together =
        run({0, length, 2 * length, 3 * length}, 0);
    const std::vector<float> middle = run({0, length}, length);
    EXPECT_TRUE(std::equal(middle.begin(), middle.end(),
                           together.begin() + length * width));
  });
}

struct CacheCase {
  size_t m, t, heads, kv_heads, dim;
};

// One token and many, around the limits of key blocks (128), query blocks and
// tiles, with and without groups.
constexpr CacheCase kCacheCases[] = {
    {1, 1, 1, 1, 8},      {1, 127, 4, 4, 16},  {1, 129, 12, 4, 64},
    {1, 300, 32, 2, 20},  {2, 5, 4, 2, 32},    {5, 5, 12, 4, 32},
    {13, 140, 6, 2, 24},  {97, 97, 4, 4, 16},  {100, 356, 6, 1, 32},
    {64, 128, 8, 2, 128}, {150, 400, 3, 3, 7},
};

TEST(CachedAttention, AgreesWithDefinition) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const CacheCase& c : kCacheCases) {
      const size_t width = c.heads * c.dim;
      const size_t ldkv = c.kv_heads * c.dim + 3;
      const std::vector<float> q = Random(c.m * width, 1, -2, 2);
      const std::vector<float> k = Random(c.t * ldkv, 2, -2, 2);
      const std::vector<float> v = Random(c.t * ldkv, 3, -2, 2);
      std::vector<float> out(c.m * width);
      const CachedAttentionParams p{.q = q.data(),
                                    .ldq = width,
                                    .m = c.m,
                                    .k_cache = k.data(),
                                    .v_cache = v.data(),
                                    .ldkv = ldkv,
                                    .t = c.t,
                                    .heads = c.heads,
                                    .kv_heads = c.kv_heads,
                                    .head_dim = c.dim,
                                    .scale = 0.3f,
                                    .out = out.data(),
                                    .ldo = width};
      CachedAttention(p, &pool);
      EXPECT_LT(reference::MaxError(out, reference::CachedAttention(p)), 2e-5)
          << c.m << " of " << c.t << ", " << c.heads << "/" << c.kv_heads
          << " heads of " << c.dim;
    }
  });
}

TEST(CachedAttention, ATokenIsTheSameHoweverManyComeWithIt) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const CacheCase& c : kCacheCases) {
      const size_t width = c.heads * c.dim;
      const size_t ldkv = c.kv_heads * c.dim;
      const std::vector<float> q = Random(c.t * width, 1, -2, 2);
      const std::vector<float> k = Random(c.t * ldkv, 2, -2, 2);
      const std::vector<float> v = Random(c.t * ldkv, 3, -2, 2);
      std::vector<std::vector<float>> outputs;
      for (const size_t m : {c.t, size_t{1}, size_t{5}, size_t{70}}) {
        std::vector<float>& out = outputs.emplace_back(c.t * width);
        for (size_t begin = 0; begin < c.t; begin += m) {
          const size_t end = std::min(c.t, begin + m);
          CachedAttention({.q = q.data() + begin * width,
                           .ldq = width,
                           .m = end - begin,
                           .k_cache = k.data(),
                           .v_cache = v.data(),
                           .ldkv = ldkv,
                           .t = end,
                           .heads = c.heads,
                           .kv_heads = c.kv_heads,
                           .head_dim = c.dim,
                           .scale = 0.3f,
                           .out = out.data() + begin * width,
                           .ldo = width},
                          m == c.t ? nullptr : &pool);
        }
        EXPECT_EQ(out, outputs[0]) << m << " of " << c.t;
      }
    }
  });
}

TEST(CachedAttention, ValuesMayHaveAnotherWidthThanKeys) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const CacheCase& c : kCacheCases) {
      for (const size_t value_dim : {size_t{1}, c.dim / 2 + 3, c.dim * 2 + 1}) {
        const size_t ldkv = c.kv_heads * c.dim + 3;
        const size_t ldv = c.kv_heads * value_dim + 1;
        const size_t ldo = c.heads * value_dim;
        const std::vector<float> q = Random(c.m * c.heads * c.dim, 1, -2, 2);
        const std::vector<float> k = Random(c.t * ldkv, 2, -2, 2);
        const std::vector<float> v = Random(c.t * ldv, 3, -2, 2);
        std::vector<float> out(c.m * ldo);
        const CachedAttentionParams p{.q = q.data(),
                                      .ldq = c.heads * c.dim,
                                      .m = c.m,
                                      .k_cache = k.data(),
                                      .v_cache = v.data(),
                                      .ldkv = ldkv,
                                      .ldv = ldv,
                                      .t = c.t,
                                      .heads = c.heads,
                                      .kv_heads = c.kv_heads,
                                      .head_dim = c.dim,
                                      .value_dim = value_dim,
                                      .scale = 0.3f,
                                      .out = out.data(),
                                      .ldo = ldo};
        CachedAttention(p, &pool);
        EXPECT_LT(reference::MaxError(out, reference::CachedAttention(p)), 2e-5)
            << c.m << " of " << c.t << ", keys of " << c.dim << ", values of "
            << value_dim;
      }
    }
  });
}

// Latent attention: one key/value head, whose values are the first columns of
// its keys. The result does not depend on how the heads are dealt to threads.
TEST(CachedAttention, ValuesMayLieInsideTheKeys) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    const size_t heads = 13, dim = 75, value_dim = 66, t = 150;
    const std::vector<float> k = Random(t * dim, 2, -2, 2);
    for (const size_t m : {1, 2, 20}) {
      const std::vector<float> q = Random(m * heads * dim, 1, -2, 2);
      std::vector<float> out(m * heads * value_dim);
      CachedAttentionParams p{.q = q.data(),
                              .ldq = heads * dim,
                              .m = m,
                              .k_cache = k.data(),
                              .v_cache = k.data(),
                              .ldkv = dim,
                              .t = t,
                              .heads = heads,
                              .kv_heads = 1,
                              .head_dim = dim,
                              .value_dim = value_dim,
                              .scale = 0.2f,
                              .out = out.data(),
                              .ldo = heads * value_dim};
      CachedAttention(p, &pool);
      EXPECT_LT(reference::MaxError(out, reference::CachedAttention(p)), 2e-5)
          << m;
      std::vector<float> alone(out.size());
      p.out = alone.data();
      CachedAttention(p, nullptr);
      EXPECT_EQ(out, alone) << m;
    }
  });
}

TEST(CachedAttention, LargeScoresDoNotOverflow) {
  ForEachTarget([] {
    const size_t t = 200, dim = 16;
    const std::vector<float> q = Random(t * dim, 1, -100, 100);
    const std::vector<float> k = Random(t * dim, 2, -100, 100);
    const std::vector<float> v = Random(t * dim, 3);
    for (const size_t m : {size_t{1}, t}) {
      std::vector<float> out(m * dim);
      const CachedAttentionParams p{.q = q.data(),
                                    .ldq = dim,
                                    .m = m,
                                    .k_cache = k.data(),
                                    .v_cache = v.data(),
                                    .ldkv = dim,
                                    .t = t,
                                    .heads = 1,
                                    .kv_heads = 1,
                                    .head_dim = dim,
                                    .out = out.data(),
                                    .ldo = dim};
      CachedAttention(p, nullptr);
      // Scores around 10^4 carry an f32 error of about 10^-3.
      EXPECT_LT(reference::MaxError(out, reference::CachedAttention(p)), 2e-2);
    }
  });
}

}  // namespace
}  // namespace braid::kernels
