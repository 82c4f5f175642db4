#include "kernels/conv1d.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

TEST(CausalConv1d, AgreesWithDefinitionWhereverTheTokensAreCut) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const size_t kernel : {1, 2, 3, 4, 16}) {
      for (const size_t channels : {1, 15, 64, 133}) {
        const std::vector<float> taps = Random(kernel * channels, 1);
        const std::vector<float> bias = Random(channels, 2);
        std::vector<float> state = Random((kernel - 1) * channels, 3);
        std::vector<double> expected_state(state.begin(), state.end());
        unsigned seed = 4;
        // One token, fewer than the taps, more, and one again.
        for (const size_t rows : {1, 2, 9, 40, 1}) {
          const bool with_bias = seed % 2 == 0;
          const size_t ldx = channels + 2;
          const std::vector<float> x = Random(rows * ldx, ++seed, -3, 3);
          std::vector<float> out(rows * channels);
          const CausalConv1dParams p{
              .x = x.data(),
              .ldx = ldx,
              .rows = rows,
              .channels = channels,
              .kernel = kernel,
              .taps = taps.data(),
              .bias = with_bias ? bias.data() : nullptr,
              .state = state.data(),
              .activation = with_bias ? Activation::kSilu : Activation::kNone,
              .out = out.data(),
              .ldo = channels};
          const std::vector<double> expected =
              reference::CausalConv1d(p, &expected_state);
          CausalConv1d(p, &pool);
          ASSERT_LT(reference::MaxError(out, expected), 2e-6)
              << kernel << " taps, " << channels << " channels, " << rows;
          ASSERT_LT(reference::MaxError(state, expected_state), 1e-12);
        }
      }
    }
  });
}

TEST(ConvTapsFromHf, Transposes) {
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};  // 2 channels, 3 taps
  std::vector<float> taps(6);
  ConvTapsFromHf(weight.data(), 2, 3, taps.data());
  EXPECT_EQ(taps, (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

}  // namespace
}  // namespace braid::kernels
