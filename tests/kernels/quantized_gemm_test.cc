#include "kernels/quantized_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/half.h"
#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

struct Shape {
  size_t m, n, k;
};

// Tiles, panels, groups and blocks cut in every way.
constexpr Shape kShapes[] = {
    {1, 1, 1},     {1, 16, 8},    {1, 100, 384}, {1, 64, 640},  {2, 17, 3},
    {2, 128, 96},  {3, 33, 65},   {5, 15, 31},   {6, 16, 256},  {7, 64, 257},
    {11, 31, 100}, {12, 48, 384}, {13, 65, 513}, {49, 40, 700}, {97, 23, 1100},
};

std::vector<QuantizedFormat> Formats() {
  std::vector<QuantizedFormat> formats;
  for (const int bits : {8, 4}) {
    for (const size_t group : {32, 64, 128}) {
      for (const bool zeros : {false, true}) {
        formats.push_back({bits, group, zeros});
      }
    }
  }
  return formats;
}

std::string Name(const QuantizedFormat& format) {
  return "int" + std::to_string(format.bits) + " group " +
         std::to_string(format.group_size) +
         (format.zero_points ? " with zeros" : "");
}

QuantizedWeights Pack(const QuantizedMatrix& matrix) {
  return QuantizedWeights::Pack(matrix.format, matrix.n, matrix.k,
                                [&](size_t i) { return matrix.row(i); });
}

std::vector<float> Dequantized(const QuantizedMatrix& matrix) {
  std::vector<float> weights(matrix.n * matrix.k);
  for (size_t i = 0; i < matrix.n; ++i) {
    Dequantize(matrix.format, matrix.row(i), matrix.k,
               weights.data() + i * matrix.k);
  }
  return weights;
}

// What the header says of A: 127 steps to the largest of each group.
std::vector<float> Rounded(const std::vector<float>& a, size_t m, size_t k,
                           size_t group) {
  std::vector<float> rounded(a.size());
  for (size_t r = 0; r < m; ++r) {
    for (size_t begin = 0; begin < k; begin += group) {
      const size_t end = std::min(k, begin + group);
      float most = 0;
      for (size_t i = begin; i < end; ++i) {
        most = std::max(most, std::abs(a[r * k + i]));
      }
      for (size_t i = begin; i < end; ++i) {
        rounded[r * k + i] =
            most == 0 ? 0
                      : std::nearbyint(a[r * k + i] * (127.0f / most)) *
                            (most / 127.0f);
      }
    }
  }
  return rounded;
}

std::vector<float> RunQuantized(const Shape& s, const std::vector<float>& a,
                                const QuantizedWeights& b, ThreadPool* pool) {
  std::vector<float> c(s.m * s.n, -77.0f);
  QuantizedGemm(
      {.a = a.data(), .lda = s.k, .m = s.m, .b = &b, .c = c.data(), .ldc = s.n},
      pool);
  return c;
}

TEST(QuantizedGemm, AgreesWithTheProductOfWhatTheCodesStandFor) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const QuantizedFormat& format : Formats()) {
      for (const Shape& s : kShapes) {
        const std::vector<float> a = Random(s.m * s.k, 1);
        const std::vector<float> w = Random(s.n * s.k, 2);
        const std::vector<float> bias = Random(s.n, 3);
        const std::vector<float> scale = Random(s.n, 5, 0.5f, 2.0f);
        const std::vector<float> residual = Random(s.m * s.n, 4);
        const QuantizedMatrix matrix =
            Quantize(w.data(), s.n, s.k, format, nullptr);
        const QuantizedWeights packed = Pack(matrix);
        ASSERT_EQ(packed.n(), s.n);
        ASSERT_EQ(packed.k(), s.k);
        std::vector<float> weights = Dequantized(matrix);
        const std::vector<float> rounded =
            Rounded(a, s.m, s.k, format.group_size);
        for (size_t i = 0; i < weights.size(); ++i) {
          weights[i] *= scale[i / s.k];
        }
        std::vector<float> c(s.m * s.n, -77.0f);
        QuantizedGemm({.a = a.data(),
                       .lda = s.k,
                       .m = s.m,
                       .b = &packed,
                       .row_scale = scale.data(),
                       .bias = bias.data(),
                       .residual = residual.data(),
                       .c = c.data(),
                       .ldc = s.n,
                       .activation = Activation::kSilu},
                      &pool);
        ASSERT_LT(reference::MaxError(
                      c, reference::Gemm(rounded.data(), weights.data(),
                                         bias.data(), residual.data(),
                                         Activation::kSilu, s.m, s.n, s.k)),
                  3e-5)
            << Name(format) << " " << s.m << "x" << s.n << "x" << s.k;
      }
    }
  });
}

TEST(QuantizedGemm, GatesComeInBlocksBesideTheirValues) {
  ForEachTarget([] {
    for (const QuantizedFormat& format :
         {QuantizedFormat{8, 64, false}, QuantizedFormat{4, 32, true}}) {
      for (const size_t m : {1, 2, 5, 31}) {
        const size_t half = 80, n = 2 * half, k = 130;
        const std::vector<float> a = Random(m * k, 1);
        const std::vector<float> w = Random(n * k, 2);
        const std::vector<float> bias = Random(n, 3);
        const QuantizedMatrix matrix =
            Quantize(w.data(), n, k, format, nullptr);
        // Gates first in the matrix, as models have them.
        const auto source = [&](size_t i) {
          return i / 32 * 16 + i % 16 + (i % 32 < 16 ? 0 : half);
        };
        std::vector<float> packed_bias(n);
        for (size_t i = 0; i < n; ++i) packed_bias[i] = bias[source(i)];
        const QuantizedWeights packed = QuantizedWeights::Pack(
            format, n, k, [&](size_t i) { return matrix.row(source(i)); });
        std::vector<float> c(m * half);
        QuantizedGemm({.a = a.data(),
                       .lda = k,
                       .m = m,
                       .b = &packed,
                       .bias = packed_bias.data(),
                       .c = c.data(),
                       .ldc = half,
                       .activation = Activation::kSilu,
                       .gated = true},
                      nullptr);
        const std::vector<float> rounded = Rounded(a, m, k, format.group_size);
        const std::vector<float> weights = Dequantized(matrix);
        const std::vector<double> both =
            reference::Gemm(rounded.data(), weights.data(), bias.data(),
                            nullptr, Activation::kNone, m, n, k);
        std::vector<double> expected(m * half);
        for (size_t r = 0; r < m; ++r) {
          for (size_t j = 0; j < half; ++j) {
            expected[r * half + j] =
                reference::Silu(both[r * n + j]) * both[r * n + half + j];
          }
        }
        EXPECT_LT(reference::MaxError(c, expected), 3e-5) << Name(format) << m;
      }
    }
  });
}

TEST(QuantizedGemm, ResultIsTheSameBitsForAnyThreadsAndAnyNeighbours) {
  ForEachTarget([] {
    for (const QuantizedFormat& format : Formats()) {
      const Shape s{61, 150, 600};
      const std::vector<float> a = Random(s.m * s.k, 5);
      const std::vector<float> w = Random(s.n * s.k, 6);
      const QuantizedWeights packed =
          Pack(Quantize(w.data(), s.n, s.k, format, nullptr));
      const std::vector<float> alone = RunQuantized(s, a, packed, nullptr);
      for (const int threads : {2, 5}) {
        ThreadPool pool(threads);
        EXPECT_EQ(alone, RunQuantized(s, a, packed, &pool)) << threads;
      }
      for (const size_t rows : {1, 2, 4, 9, 50}) {
        const size_t first = s.m - rows;
        const std::vector<float> part(a.begin() + first * s.k, a.end());
        const std::vector<float> c =
            RunQuantized({rows, s.n, s.k}, part, packed, nullptr);
        EXPECT_EQ(0, std::memcmp(c.data(), alone.data() + first * s.n,
                                 c.size() * sizeof(float)))
            << Name(format) << " " << rows;
      }
    }
  });
}

TEST(QuantizedGemm, SeveralProductsAtOnceAreTheSameAsEachAlone) {
  ForEachTarget([] {
    ThreadPool pool(3);
    const size_t k = 256;
    std::vector<QuantizedWeights> weights;
    std::vector<std::vector<float>> inputs, outputs, expected;
    std::vector<QuantizedGemmParams> products;
    for (const size_t m : {0, 1, 3, 40}) {
      const size_t n = 100 + 20 * m;
      const std::vector<float> w = Random(n * k, 10 + m);
      weights.push_back(Pack(Quantize(
          w.data(), n, k, {m == 3 ? 4 : 8, m == 1 ? 32u : 64u}, nullptr)));
      inputs.push_back(Random(m * k, 20 + m));
      outputs.emplace_back(m * n);
    }
    for (size_t i = 0; i < weights.size(); ++i) {
      const size_t m = inputs[i].size() / k;
      products.push_back({.a = inputs[i].data(),
                          .lda = k,
                          .m = m,
                          .b = &weights[i],
                          .c = outputs[i].data(),
                          .ldc = weights[i].n()});
      expected.push_back(
          RunQuantized({m, weights[i].n(), k}, inputs[i], weights[i], nullptr));
    }
    QuantizedGemms(products, &pool);
    EXPECT_EQ(outputs, expected);

    // Rows of the last one, backwards.
    std::vector<uint32_t> backwards;
    for (uint32_t r = 40; r-- > 0;) backwards.push_back(r);
    std::vector<float> reversed(outputs.back().size());
    products.back().a_rows = backwards.data();
    products.back().c = reversed.data();
    QuantizedGemms(products, &pool);
    const size_t n = weights.back().n();
    for (size_t r = 0; r < 40; ++r) {
      EXPECT_TRUE(std::equal(reversed.begin() + r * n,
                             reversed.begin() + (r + 1) * n,
                             expected.back().begin() + (39 - r) * n))
          << r;
    }
    QuantizedGemms({}, &pool);
  });
}

TEST(QuantizedWeights, QuantizingLosesHalfAStepAtMost) {
  for (const QuantizedFormat& format : Formats()) {
    const size_t n = 37, k = 201;
    const std::vector<float> w = Random(n * k, 8, -3.0f, 3.0f);
    const std::vector<float> back =
        Dequantized(Quantize(w.data(), n, k, format, nullptr));
    double squares = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      squares += (w[i] - back[i]) * (w[i] - back[i]);
    }
    // Uniform in a range of 6: steps of 6 / 2^bits, and a twelfth of a step's
    // square as error, plus what scales in f16 and their choice cost.
    const double step = 6.0 / (1 << format.bits);
    EXPECT_LT(squares / w.size(), 1.1 * step * step / 12) << Name(format);
  }
}

TEST(QuantizedWeights, ZerosAndOddValuesSurvive) {
  for (const QuantizedFormat& format : Formats()) {
    std::vector<float> w(3 * 70, 0.0f);
    for (size_t i = 70; i < 140; ++i) w[i] = 1e-9f;  // far below f16
    for (size_t i = 140; i < 210; ++i) w[i] = 1e9f;  // far above
    const std::vector<float> back =
        Dequantized(Quantize(w.data(), 3, 70, format, nullptr));
    for (size_t i = 0; i < 70; ++i) ASSERT_EQ(back[i], 0.0f);
    for (const float value : back) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST(Half, RoundTripsAndRounds) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7c00) == 0x7c00) continue;
    ASSERT_EQ(FloatToHalf(HalfToFloat(half)), half);
  }
  EXPECT_EQ(HalfToFloat(FloatToHalf(1e9f)), 65504.0f);
  EXPECT_EQ(HalfToFloat(FloatToHalf(-1e9f)), -65504.0f);
  EXPECT_EQ(FloatToHalf(1.0f + 0x1p-11f), FloatToHalf(1.0f));  // tie: to even
  EXPECT_EQ(FloatToHalf(1.0f + 0x1.8p-10f), FloatToHalf(1.0f + 0x1p-9f));
  EXPECT_EQ(FloatToHalf(0x1p-25f), 0);
  EXPECT_EQ(FloatToHalf(0x1.8p-25f), 1);
}

}  // namespace
}  // namespace braid::kernels
