#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

TEST(LayerNorm, AgreesWithDefinition) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const size_t dim : {1, 5, 16, 31, 64, 100, 384}) {
      for (const size_t rows : {1, 2, 301}) {
        // A large common offset: a one-pass variance would lose everything.
        const std::vector<float> x = Random(rows * dim, 1, 99.0f, 101.0f);
        const std::vector<float> weight = Random(dim, 2);
        const std::vector<float> bias = Random(dim, 3);
        std::vector<float> out(rows * dim);
        LayerNormParams p{.x = x.data(),
                          .ldx = dim,
                          .rows = rows,
                          .dim = dim,
                          .weight = weight.data(),
                          .bias = bias.data(),
                          .epsilon = 1e-5f,
                          .out = out.data(),
                          .ldo = dim};
        LayerNorm(p, &pool);
        EXPECT_LT(reference::MaxError(out, reference::LayerNorm(p)), 1e-4)
            << rows << "x" << dim;
        p.bias = nullptr;
        LayerNorm(p, nullptr);
        EXPECT_LT(reference::MaxError(out, reference::LayerNorm(p)), 1e-4);
      }
    }
  });
}

TEST(LayerNorm, WorksInPlaceWithGapsBetweenRows) {
  ForEachTarget([] {
    const size_t rows = 4, dim = 20, ld = 27;
    std::vector<float> x = Random(rows * ld, 1);
    const std::vector<float> before = x;
    const std::vector<float> weight = Random(dim, 2);
    LayerNormParams p{.x = before.data(),
                      .ldx = ld,
                      .rows = rows,
                      .dim = dim,
                      .weight = weight.data(),
                      .out = x.data(),
                      .ldo = ld};
    const std::vector<double> expected = reference::LayerNorm(p);
    p.x = x.data();
    LayerNorm(p, nullptr);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i < ld; ++i) {
        EXPECT_NEAR(x[r * ld + i],
                    i < dim ? expected[r * dim + i] : before[r * ld + i], 1e-5);
      }
    }
  });
}

TEST(RmsNorm, AgreesWithDefinitionInEveryVariant) {
  ThreadPool pool(2);
  ForEachTarget([&] {
    for (const size_t groups : {1, 2, 8}) {
      for (const size_t width : {1, 7, 16, 33, 128}) {
        const size_t dim = groups * width;
        const size_t rows = 70;
        const std::vector<float> x = Random(rows * dim, 1, -3, 3);
        const std::vector<float> gate = Random(rows * dim, 2, -3, 3);
        const std::vector<float> weight = Random(dim, 3);
        std::vector<float> out(rows * dim);
        RmsNormParams p{.x = x.data(),
                        .ldx = dim,
                        .rows = rows,
                        .dim = dim,
                        .groups = groups,
                        .weight = weight.data(),
                        .epsilon = 1e-5f,
                        .out = out.data(),
                        .ldo = dim};
        for (const float* use_gate : {(const float*)nullptr, gate.data()}) {
          for (const GateOrder order :
               {GateOrder::kGateFirst, GateOrder::kNormFirst}) {
            for (const bool shared : {false, true}) {
              for (const float offset : {0.0f, 1.0f}) {
                p.gate = use_gate;
                p.ldg = dim;
                p.gate_order = order;
                p.weight_shared_by_groups = shared;
                p.weight_offset = offset;
                for (const Activation gate_activation :
                     {Activation::kSilu, Activation::kSigmoid}) {
                  p.gate_activation = gate_activation;
                  RmsNorm(p, &pool);
                  ASSERT_LT(reference::MaxError(out, reference::RmsNorm(p)),
                            2e-6)
                      << groups << " groups of " << width;
                }
              }
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace braid::kernels
