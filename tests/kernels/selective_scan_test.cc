#include "kernels/selective_scan.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

struct Shape {
  size_t channels, state_dim;
};

// Around vectors, groups of 16 channels and tasks of 64, with state sizes that
// are and are not whole vectors.
constexpr Shape kShapes[] = {{1, 1},   {5, 6},   {16, 16}, {31, 8},
                             {64, 12}, {65, 16}, {150, 7}, {200, 16}};

// Inputs of `tokens` tokens; B and C lie in one matrix, as in a model.
struct Inputs {
  Inputs(const Shape& s, size_t tokens, unsigned seed)
      : ldx(s.channels + 3),
        ldbc(2 * s.state_dim + 1),
        x(Random(tokens * ldx, seed)),
        dt(Random(tokens * s.channels, seed + 1, 0.001f, 0.5f)),
        bc(Random(tokens * ldbc, seed + 2)),
        a(Random(s.channels * s.state_dim, 100, -16.0f, -0.1f)),
        d(Random(s.channels, 101)) {}

  SelectiveScanParams Params(const Shape& s, size_t begin, size_t end,
                             float* state, float* y) const {
    return {.tokens = end - begin,
            .channels = s.channels,
            .state_dim = s.state_dim,
            .x = x.data() + begin * ldx,
            .ldx = ldx,
            .dt = dt.data() + begin * s.channels,
            .lddt = s.channels,
            .b = bc.data() + begin * ldbc,
            .ldb = ldbc,
            .c = bc.data() + begin * ldbc + s.state_dim,
            .ldc = ldbc,
            .a = a.data(),
            .d = d.data(),
            .state = state,
            .y = y + begin * s.channels,
            .ldy = s.channels};
  }

  size_t ldx, ldbc;
  std::vector<float> x, dt, bc, a, d;
};

TEST(SelectiveScan, AgreesWithTheRecurrence) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      for (const size_t tokens : {1, 2, 3, 4, 5, 63, 64, 65, 200}) {
        const Inputs in(s, tokens, 7);
        const std::vector<float> start = Random(s.channels * s.state_dim, 9);
        std::vector<float> y(tokens * s.channels);
        std::vector<float> state = start;
        SelectiveScanParams p = in.Params(s, 0, tokens, state.data(), y.data());
        std::vector<double> expected_state(start.begin(), start.end());
        const std::vector<double> expected =
            reference::SelectiveScan(p, &expected_state);
        SelectiveScan(p, &pool);
        EXPECT_LT(reference::MaxError(y, expected), 3e-6)
            << s.channels << "x" << s.state_dim << ", " << tokens;
        EXPECT_LT(reference::MaxError(state, expected_state), 3e-6)
            << s.channels << "x" << s.state_dim << ", " << tokens;

        // Threads change nothing, to the bit.
        std::vector<float> alone(y.size());
        std::vector<float> alone_state = start;
        p.y = alone.data();
        p.state = alone_state.data();
        SelectiveScan(p, nullptr);
        EXPECT_EQ(alone, y);
        EXPECT_EQ(alone_state, state);
      }
    }
  });
}

TEST(SelectiveScan, MayBeCutAnywhere) {
  std::mt19937 random(11);
  ForEachTarget([&] {
    const Shape s{70, 16};
    const size_t tokens = 150;
    const Inputs in(s, tokens, 3);
    std::vector<float> state(s.channels * s.state_dim, 0.0f);
    std::vector<float> y(tokens * s.channels);
    std::vector<double> expected_state(state.begin(), state.end());
    const std::vector<double> expected = reference::SelectiveScan(
        in.Params(s, 0, tokens, state.data(), y.data()), &expected_state);
    for (int trial = 0; trial < 10; ++trial) {
      state.assign(state.size(), 0.0f);
      y.assign(y.size(), 0.0f);
      for (size_t begin = 0; begin < tokens;) {
        const size_t length = random() % (trial < 5 ? 5 : 60) + 1;
        const size_t end = std::min(tokens, begin + length);
        SelectiveScan(in.Params(s, begin, end, state.data(), y.data()),
                      nullptr);
        begin = end;
      }
      EXPECT_LT(reference::MaxError(y, expected), 3e-6);
      EXPECT_LT(reference::MaxError(state, expected_state), 3e-6);
    }
  });
}

TEST(SelectiveScan, WorksInPlaceAndWithoutSkip) {
  ForEachTarget([] {
    const Shape s{37, 16};
    for (const size_t tokens : {2, 50}) {
      Inputs in(s, tokens, 5);
      std::vector<float> state(s.channels * s.state_dim, 0.5f);
      SelectiveScanParams p = in.Params(s, 0, tokens, state.data(), nullptr);
      p.d = nullptr;
      std::vector<double> expected_state(state.begin(), state.end());
      const std::vector<double> expected =
          reference::SelectiveScan(p, &expected_state);
      p.y = in.x.data();
      p.ldy = in.ldx;
      SelectiveScan(p, nullptr);
      std::vector<float> y;
      for (size_t t = 0; t < tokens; ++t) {
        const float* row = in.x.data() + t * in.ldx;
        y.insert(y.end(), row, row + s.channels);
      }
      EXPECT_LT(reference::MaxError(y, expected), 3e-6);
      EXPECT_LT(reference::MaxError(state, expected_state), 3e-6);
    }
  });
}

TEST(SelectiveScan, SurvivesStrongDecay) {
  ForEachTarget([] {
    const Shape s{20, 16};
    for (const size_t tokens : {1, 100}) {
      Inputs in(s, tokens, 6);
      for (size_t i = 0; i < in.dt.size(); i += 3) in.dt[i] = 50.0f;
      std::vector<float> y(tokens * s.channels);
      std::vector<float> state(s.channels * s.state_dim, 1.0f);
      const SelectiveScanParams p =
          in.Params(s, 0, tokens, state.data(), y.data());
      std::vector<double> expected_state(state.begin(), state.end());
      const std::vector<double> expected =
          reference::SelectiveScan(p, &expected_state);
      // Sums of terms up to 50: their rounding is larger than that of y.
      SelectiveScan(p, nullptr);
      EXPECT_LT(reference::MaxError(y, expected), 1e-5);
      EXPECT_LT(reference::MaxError(state, expected_state), 1e-5);
    }
  });
}

}  // namespace
}  // namespace braid::kernels
