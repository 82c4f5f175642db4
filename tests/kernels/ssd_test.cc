#include "kernels/ssd.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

struct Shape {
  size_t heads, head_dim, state_dim, groups;
};

constexpr Shape kShapes[] = {{1, 1, 1, 1},
                             {4, 16, 16, 2},
                             {3, 20, 33, 1},
                             {2, 32, 128, 1},
                             {8, 8, 24, 8}};

// Inputs of `tokens` tokens; x, B, C and dt lie in one matrix, as in a model.
struct Inputs {
  Inputs(const Shape& s, size_t tokens, unsigned seed)
      : width(s.heads * s.head_dim + 2 * s.groups * s.state_dim),
        xbc(Random(tokens * width, seed)),
        dt(Random(tokens * s.heads, seed + 1, 0.001f, 0.5f)),
        a(Random(s.heads, 100, -16.0f, -0.1f)),
        d(Random(s.heads, 101)) {}

  SsdParams Params(const Shape& s, size_t begin, size_t end, float* state,
                   float* y) const {
    const size_t inner = s.heads * s.head_dim;
    return {.tokens = end - begin,
            .heads = s.heads,
            .head_dim = s.head_dim,
            .state_dim = s.state_dim,
            .groups = s.groups,
            .x = xbc.data() + begin * width,
            .ldx = width,
            .b = xbc.data() + begin * width + inner,
            .ldb = width,
            .c = xbc.data() + begin * width + inner + s.groups * s.state_dim,
            .ldc = width,
            .dt = dt.data() + begin * s.heads,
            .lddt = s.heads,
            .a = a.data(),
            .d = d.data(),
            .state = state,
            .y = y + begin * inner,
            .ldy = inner};
  }

  size_t width;
  std::vector<float> xbc, dt, a, d;
};

TEST(Ssd, ChunksAndStepsAgreeWithTheRecurrence) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      // Around one chunk, several, and more than are kept at once (16).
      for (const size_t tokens : {1, 7, 8, 63, 64, 65, 200, 1030}) {
        const Inputs in(s, tokens, 7);
        const std::vector<float> start =
            Random(s.heads * s.head_dim * s.state_dim, 9);
        std::vector<float> y(tokens * s.heads * s.head_dim);
        std::vector<float> state = start;
        const SsdParams p = in.Params(s, 0, tokens, state.data(), y.data());
        std::vector<double> expected_state(start.begin(), start.end());
        const std::vector<double> expected = reference::Ssd(p, &expected_state);

        SsdPrefill(p, &pool);
        EXPECT_LT(reference::MaxError(y, expected), 2e-5) << tokens;
        EXPECT_LT(reference::MaxError(state, expected_state), 2e-5) << tokens;

        state = start;
        SsdStep(p, &pool);
        EXPECT_LT(reference::MaxError(y, expected), 2e-5) << tokens;
        EXPECT_LT(reference::MaxError(state, expected_state), 2e-5) << tokens;
      }
    }
  });
}

TEST(Ssd, PrefillMayBeCutAnywhere) {
  ForEachTarget([] {
    const Shape s{4, 16, 32, 2};
    const size_t tokens = 150;
    const Inputs in(s, tokens, 3);
    std::vector<float> whole(tokens * s.heads * s.head_dim);
    std::vector<float> whole_state(s.heads * s.head_dim * s.state_dim, 0.0f);
    SsdPrefill(in.Params(s, 0, tokens, whole_state.data(), whole.data()),
               nullptr);
    for (const size_t cut : {1, 10, 63, 64, 65, 149}) {
      std::vector<float> y(whole.size());
      std::vector<float> state(whole_state.size(), 0.0f);
      SsdPrefill(in.Params(s, 0, cut, state.data(), y.data()), nullptr);
      SsdPrefill(in.Params(s, cut, tokens, state.data(), y.data()), nullptr);
      EXPECT_LT(reference::MaxError(
                    y, std::vector<double>(whole.begin(), whole.end())),
                2e-5)
          << cut;
      EXPECT_LT(
          reference::MaxError(state, std::vector<double>(whole_state.begin(),
                                                         whole_state.end())),
          2e-5)
          << cut;
    }
  });
}

TEST(Ssd, WorksInPlaceAndWithoutSkip) {
  ForEachTarget([] {
    const Shape s{2, 16, 16, 1};
    for (const size_t tokens : {3, 100}) {
      Inputs in(s, tokens, 5);
      std::vector<float> state(s.heads * s.head_dim * s.state_dim, 0.0f);
      SsdParams p = in.Params(s, 0, tokens, state.data(), nullptr);
      p.d = nullptr;
      std::vector<double> expected_state(state.begin(), state.end());
      const std::vector<double> expected = reference::Ssd(p, &expected_state);
      p.y = in.xbc.data();
      p.ldy = in.width;
      SsdPrefill(p, nullptr);
      std::vector<float> y;
      for (size_t t = 0; t < tokens; ++t) {
        const float* row = in.xbc.data() + t * in.width;
        y.insert(y.end(), row, row + s.heads * s.head_dim);
      }
      EXPECT_LT(reference::MaxError(y, expected), 2e-5);
    }
  });
}

// Steps of very different size: strong decay must not turn into 0 / 0 or lose
// the differences of the sums.
TEST(Ssd, SurvivesStrongDecay) {
  ForEachTarget([] {
    const Shape s{2, 16, 16, 1};
    const size_t tokens = 128;
    Inputs in(s, tokens, 6);
    for (size_t i = 0; i < in.dt.size(); i += 3) in.dt[i] = 20.0f;
    std::vector<float> y(tokens * s.heads * s.head_dim);
    std::vector<float> state(s.heads * s.head_dim * s.state_dim, 1.0f);
    const SsdParams p = in.Params(s, 0, tokens, state.data(), y.data());
    std::vector<double> expected_state(state.begin(), state.end());
    const std::vector<double> expected = reference::Ssd(p, &expected_state);
    SsdPrefill(p, nullptr);
    EXPECT_LT(reference::MaxError(y, expected), 2e-5);
    EXPECT_LT(reference::MaxError(state, expected_state), 2e-5);
  });
}

}  // namespace
}  // namespace braid::kernels
