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

}  // namespace
}  // namespace braid::kernels
