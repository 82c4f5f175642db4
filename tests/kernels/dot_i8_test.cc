#include "kernels/dot_i8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

int64_t Definition(const int8_t* a, const int8_t* b, size_t size) {
  int64_t sum = 0;
  for (size_t i = 0; i < size; ++i) sum += int64_t{a[i]} * b[i];
  return sum;
}

TEST(DotI8, IsExact) {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> value(-127, 127);
  ForEachTarget([&] {
    for (const size_t size : {32, 64, 96, 384, 1024, 4128}) {
      std::vector<int8_t> data(5 * size);
      for (int8_t& x : data) x = static_cast<int8_t>(value(random));
      const int8_t* rows[4] = {&data[size], &data[2 * size], &data[3 * size],
                               &data[4 * size]};
      int32_t out[4];
      DotI8x4(data.data(), rows, size, out);
      for (size_t j = 0; j < 4; ++j) {
        EXPECT_EQ(out[j], Definition(data.data(), rows[j], size)) << size;
        EXPECT_EQ(DotI8(data.data(), rows[j], size), out[j]) << size;
      }
    }
  });
}

TEST(DotI8, TheLargestSumFits) {
  ForEachTarget([&] {
    const std::vector<int8_t> high(kMaxDotI8Size, 127);
    const std::vector<int8_t> low(kMaxDotI8Size, -127);
    EXPECT_EQ(DotI8(high.data(), high.data(), high.size()), 65536 * 16129);
    EXPECT_EQ(DotI8(low.data(), high.data(), low.size()), -65536 * 16129);
  });
}

}  // namespace
}  // namespace braid::kernels
