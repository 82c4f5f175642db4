#include "kernels/kv_cache.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/kernels/reference.h"

namespace braid::kernels {
namespace {

using reference::Random;

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kInt8};

// The value of a binary16 number, from its definition.
double FromF16(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double magnitude = exponent == 0
                               ? std::ldexp(fraction, -24)
                               : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// One number, as a page of one head of one dimension keeps it at `byte`.
double Element(const std::byte* page, KvType type, size_t at, float scale) {
  switch (type) {
    case KvType::kF32: {
      float x;
      std::memcpy(&x, page + 4 * at, 4);
      return x;
    }
    case KvType::kF16: {
      uint16_t x;
      std::memcpy(&x, page + 2 * at, 2);
      return FromF16(x);
    }
    case KvType::kInt8:
      return static_cast<int8_t>(page[at]) * static_cast<double>(scale);
  }
  return NAN;
}

// What was appended, read back through the layout that the header describes.
void ExpectHolds(const KvCache& cache, const std::vector<float>& keys,
                 const std::vector<float>& values) {
  const KvShape& shape = cache.shape();
  const KvPageLayout& layout = cache.layout();
  const size_t even_dim = (shape.head_dim + 1) / 2 * 2;
  const auto scale = [&](const std::byte* at, size_t token) {
    float x = 0.0f;
    if (shape.type == KvType::kInt8) std::memcpy(&x, at + 4 * token, 4);
    return x;
  };
  for (size_t t = 0; t < cache.tokens(); ++t) {
    const std::byte* page = cache.page(t / kKvPageTokens);
    const size_t in = t % kKvPageTokens;
    for (size_t h = 0; h < shape.kv_heads; ++h) {
      const float key_scale = scale(page + layout.key_scales(h), in);
      for (size_t i = 0; i < shape.head_dim; ++i) {
        const double kept = Element(
            page + layout.keys(h), shape.type,
            shape.type == KvType::kInt8
                ? in / 16 * even_dim * 16 + i / 2 * 32 + in % 16 * 2 + i % 2
                : (in / 16 * shape.head_dim + i) * 16 + in % 16,
            key_scale);
        ASSERT_FLOAT_EQ(kept,
                        keys[(t * shape.kv_heads + h) * shape.head_dim + i]);
      }
      if (shape.values_in_keys) continue;
      const float value_scale = scale(page + layout.value_scales(h), in);
      for (size_t i = 0; i < shape.value_dim; ++i) {
        const double kept =
            Element(page + layout.values(h), shape.type,
                    shape.type == KvType::kInt8
                        ? i / 16 * kKvPageTokens * 16 + in / 2 * 32 +
                              i % 16 * 2 + in % 2
                        : (i / 16 * kKvPageTokens + in) * 16 + i % 16,
                    value_scale);
        ASSERT_FLOAT_EQ(kept,
                        values[(t * shape.kv_heads + h) * shape.value_dim + i]);
      }
    }
  }
}

TEST(KvCache, KeepsWhatWasAppendedInAnyPieces) {
  const size_t t = 300;
  for (const KvType type : kTypes) {
    for (const size_t dim : {1, 16, 24, 64}) {
      const KvShape shape{
          .kv_heads = 3, .head_dim = dim, .value_dim = dim + 2, .type = type};
      const size_t ldk = 3 * dim;
      const size_t ldv = 3 * (dim + 2);
      const std::vector<float> keys = Random(t * ldk, 1, -3, 3);
      const std::vector<float> values = Random(t * ldv, 2, -3, 3);
      for (const size_t piece : {1, 7, 128, 300}) {
        KvCache cache(shape);
        for (size_t at = 0; at < t; at += piece) {
          cache.Append(keys.data() + at * ldk, ldk, values.data() + at * ldv,
                       ldv, std::min(piece, t - at));
        }
        EXPECT_EQ(cache.tokens(), t);
        EXPECT_EQ(cache.bytes(), 3 * cache.layout().page_bytes());
        ExpectHolds(cache, reference::AsKept(type, keys, dim),
                    reference::AsKept(type, values, dim + 2));
      }
    }
  }
}

TEST(KvCache, BytesOfAPage) {
  const auto bytes = [](KvType type, bool values_in_keys = false) {
    return KvPageLayout({.kv_heads = 2,
                         .head_dim = 64,
                         .value_dim = 40,
                         .values_in_keys = values_in_keys,
                         .type = type})
        .page_bytes();
  };
  EXPECT_EQ(bytes(KvType::kF32), 128 * 2 * (64 + 48) * 4);
  EXPECT_EQ(bytes(KvType::kF16), 128 * 2 * (64 + 48) * 2);
  EXPECT_EQ(bytes(KvType::kInt8), 128 * 2 * (64 + 48 + 2 * 4));
  EXPECT_EQ(bytes(KvType::kF16, true), 128 * 2 * 64 * 2);
  EXPECT_EQ(bytes(KvType::kInt8, true), 128 * 2 * (64 + 4));
}

TEST(KvCache, ACopyIsASnapshot) {
  const size_t dim = 16;
  const std::vector<float> rows = Random(400 * dim, 1);
  const std::vector<float> others = Random(400 * dim, 2);
  for (const size_t cut : {1, 100, 128, 200, 256}) {
    KvCache cache({.kv_heads = 1, .head_dim = dim, .value_dim = dim});
    cache.Append(rows.data(), dim, rows.data(), dim, cut);
    KvCache copy = cache;
    KvCache assigned({.kv_heads = 1, .head_dim = 1, .value_dim = 1});
    assigned = cache;
    cache.Append(rows.data() + cut * dim, dim, rows.data() + cut * dim, dim,
                 400 - cut);
    ExpectHolds(copy, rows, rows);
    EXPECT_EQ(copy.tokens(), cut);
    copy.Append(others.data() + cut * dim, dim, others.data() + cut * dim, dim,
                400 - cut);
    std::vector<float> joined(rows.begin(), rows.begin() + cut * dim);
    joined.insert(joined.end(), others.begin() + cut * dim, others.end());
    ExpectHolds(cache, rows, rows);
    ExpectHolds(copy, joined, joined);
    ExpectHolds(assigned, rows, rows);
    EXPECT_EQ(assigned.tokens(), cut);
    // A page that is full is not copied.
    EXPECT_EQ(cut >= 128, copy.page(0) == cache.page(0));
  }
}

// All binary16 numbers, and what lies between them: half of a step goes to the
// even neighbour.
TEST(KvCache, RoundsToF16AsIeee754Does) {
  const auto kept = [](float x) {
    KvCache cache(
        {.kv_heads = 1, .head_dim = 1, .value_dim = 1, .type = KvType::kF16});
    cache.Append(&x, 1, &x, 1, 1);
    uint16_t bits;
    std::memcpy(&bits, cache.page(0), 2);
    return bits;
  };
  for (uint32_t bits = 0; bits < 0x7bff; bits += bits < 3000 ? 1 : 37) {
    const float low = static_cast<float>(FromF16(bits));
    const float high = static_cast<float>(FromF16(bits + 1));
    const float half = (low + high) / 2;  // exact
    EXPECT_EQ(kept(low), bits);
    EXPECT_EQ(kept(-low), bits | 0x8000);
    EXPECT_EQ(kept(half), bits % 2 == 0 ? bits : bits + 1) << bits;
    EXPECT_EQ(kept(std::nextafter(half, low)), bits);
    EXPECT_EQ(kept(std::nextafter(half, high)), bits + 1);
  }
  for (const float large : {65504.0f, 65519.0f, 65520.0f, 1e30f, HUGE_VALF}) {
    EXPECT_EQ(FromF16(kept(large)), 65504.0);
    EXPECT_EQ(FromF16(kept(-large)), -65504.0);
  }
  const uint16_t nan = kept(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(nan & 0x7c00, 0x7c00);
  EXPECT_NE(nan & 0x3ff, 0);
}

TEST(KvCache, Int8TakesAnyNumbers) {
  const KvShape shape{
      .kv_heads = 1, .head_dim = 3, .value_dim = 3, .type = KvType::kInt8};
  for (const float largest : {0.0f, 1e-44f, 1e-30f, 1.0f, 3e38f}) {
    KvCache cache(shape);
    const std::vector<float> x = {largest, -largest, largest / 2};
    cache.Append(x.data(), 3, x.data(), 3, 1);
    float scale;
    std::memcpy(&scale, cache.page(0) + cache.layout().key_scales(0), 4);
    for (size_t i = 0; i < 3; ++i) {
      const double kept =
          Element(cache.page(0), KvType::kInt8, i / 2 * 32 + i % 2, scale);
      EXPECT_NEAR(kept, x[i], largest / 250 + 1e-30) << largest;
    }
  }
}

}  // namespace
}  // namespace braid::kernels
