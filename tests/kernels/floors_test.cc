#include "kernels/floors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/gemm.h"
#include "tests/kernels/reference.h"

namespace braid::kernels {
namespace {

// No product can be faster than the peak: a floor below what Gemm reaches would
// make the ratios of the benchmarks worthless.
TEST(MeasureFloors, PeakIsAboveWhatGemmReaches) {
  const size_t m = 96, n = 256, k = 256;
  const std::vector<float> a = reference::Random(m * k, 1);
  const std::vector<float> b = reference::Random(n * k, 2);
  const PackedWeights packed = PackedWeights::Pack(b.data(), n, k);
  std::vector<float> c(m * n);
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    Gemm({.a = a.data(),
          .lda = k,
          .m = m,
          .b = &packed,
          .c = c.data(),
          .ldc = n},
         nullptr);
    best = std::min(best, std::chrono::duration<double>(
                              std::chrono::steady_clock::now() - start)
                              .count());
  }
  const double reached = 2e-9 * m * n * k / best;
  // A busy machine makes a measurement too low now and then, not every time.
  double peak = 0.0;
  for (int attempt = 0; attempt < 10 && peak < reached; ++attempt) {
    const Floors floors = MeasureFloors(1);
    EXPECT_EQ(floors.threads, 1);
    EXPECT_GT(floors.read_gigabytes_per_second, 0.0);
    peak = std::max(peak, floors.fma_gflops);
  }
  EXPECT_GE(peak, reached);
}

TEST(MeasureFloors, CountsThreads) {
  EXPECT_EQ(MeasureFloors(2).threads, 2);
  EXPECT_EQ(MeasureFloors(0).threads, 1);
}

}  // namespace
}  // namespace braid::kernels
