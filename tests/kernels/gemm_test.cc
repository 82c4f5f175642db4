#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

struct Shape {
  size_t m, n, k;
};

// Tiles, panels and blocks cut in every way: single rows and columns, one more
// or less than a tile, several row blocks, k cut into blocks of uneven size.
constexpr Shape kShapes[] = {
    {1, 1, 1},     {1, 16, 8},    {1, 100, 384}, {2, 17, 3},    {3, 33, 65},
    {5, 15, 31},   {6, 16, 256},  {7, 64, 257},  {11, 31, 100}, {12, 48, 384},
    {13, 65, 513}, {96, 40, 700}, {97, 23, 300}, {130, 96, 64}, {193, 129, 260},
};

std::vector<float> RunGemm(const Shape& s, const std::vector<float>& a,
                           const PackedWeights& b, const float* bias,
                           const float* residual, Activation activation,
                           ThreadPool* pool) {
  std::vector<float> c(s.m * s.n, -77.0f);
  Gemm({.a = a.data(),
        .lda = s.k,
        .m = s.m,
        .b = &b,
        .bias = bias,
        .residual = residual,
        .c = c.data(),
        .ldc = s.n,
        .activation = activation},
       pool);
  return c;
}

TEST(Gemm, AgreesWithDefinition) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      const std::vector<float> a = Random(s.m * s.k, 1);
      const std::vector<float> b = Random(s.n * s.k, 2);
      const std::vector<float> bias = Random(s.n, 3);
      const std::vector<float> residual = Random(s.m * s.n, 4);
      const PackedWeights packed = PackedWeights::Pack(b.data(), s.n, s.k);
      ASSERT_EQ(packed.n(), s.n);
      ASSERT_EQ(packed.k(), s.k);
      for (const Activation activation :
           {Activation::kNone, Activation::kGelu, Activation::kSilu,
            Activation::kRelu2, Activation::kSigmoid}) {
        for (const bool extras : {false, true}) {
          const float* use_bias = extras ? bias.data() : nullptr;
          const float* use_residual = extras ? residual.data() : nullptr;
          const std::vector<float> c =
              RunGemm(s, a, packed, use_bias, use_residual, activation, &pool);
          EXPECT_LT(
              reference::MaxError(
                  c, reference::Gemm(a.data(), b.data(), use_bias, use_residual,
                                     activation, s.m, s.n, s.k)),
              2e-5)
              << s.m << "x" << s.n << "x" << s.k << " activation "
              << static_cast<int>(activation) << " extras " << extras;
        }
      }
    }
  });
}

TEST(Gemm, ResultIsTheSameBitsForAnyThreadsAndAnyNeighbours) {
  ForEachTarget([] {
    const Shape s{230, 150, 600};
    const std::vector<float> a = Random(s.m * s.k, 5);
    const std::vector<float> b = Random(s.n * s.k, 6);
    const PackedWeights packed = PackedWeights::Pack(b.data(), s.n, s.k);
    const std::vector<float> alone =
        RunGemm(s, a, packed, nullptr, nullptr, Activation::kGelu, nullptr);
    for (const int threads : {1, 2, 5, 16}) {
      ThreadPool pool(threads);
      EXPECT_EQ(alone, RunGemm(s, a, packed, nullptr, nullptr,
                               Activation::kGelu, &pool))
          << threads;
    }
    // Rows one by one, and in other company.
    for (const size_t rows : {size_t{1}, size_t{4}, size_t{9}, size_t{100}}) {
      const size_t first = s.m - rows;
      const std::vector<float> part(a.begin() + first * s.k, a.end());
      const std::vector<float> c =
          RunGemm({rows, s.n, s.k}, part, packed, nullptr, nullptr,
                  Activation::kGelu, nullptr);
      EXPECT_EQ(0, std::memcmp(c.data(), alone.data() + first * s.n,
                               c.size() * sizeof(float)))
          << rows;
    }
  });
}

TEST(Gemm, WritesOnlyItsColumnsAndTakesTheOutputAsResidual) {
  ForEachTarget([] {
    const size_t m = 19, n = 21, k = 40, lda = 43, ldc = 30;
    const std::vector<float> a = Random(m * lda, 7);
    const std::vector<float> b = Random(n * k, 8);
    const std::vector<float> before = Random(m * ldc, 9);
    const PackedWeights packed = PackedWeights::Pack(b.data(), n, k);
    std::vector<float> c = before;
    ThreadPool pool(2);
    Gemm({.a = a.data(),
          .lda = lda,
          .m = m,
          .b = &packed,
          .residual = c.data(),
          .c = c.data(),
          .ldc = ldc},
         &pool);
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < ldc; ++j) {
        double expected = before[i * ldc + j];
        for (size_t x = 0; j < n && x < k; ++x) {
          expected += static_cast<double>(a[i * lda + x]) * b[j * k + x];
        }
        ASSERT_NEAR(c[i * ldc + j], expected, j < n ? 1e-5 : 0.0)
            << i << "," << j;
      }
    }
  });
}

TEST(Gemm, EmptyProductsTouchNothing) {
  const std::vector<float> b = Random(8, 1);
  const PackedWeights packed = PackedWeights::Pack(b.data(), 2, 4);
  Gemm({.m = 0, .b = &packed}, nullptr);
  const PackedWeights none;
  float c = 5.0f;
  Gemm({.m = 3, .b = &none, .c = &c}, nullptr);
  EXPECT_EQ(c, 5.0f);
}

TEST(Gemm, NamesItsInstructionSet) { EXPECT_STRNE(KernelTarget(), ""); }

}  // namespace
}  // namespace braid::kernels
