#include "kernels/selective_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
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
        a(SelectiveScanFloats(s.channels, s.state_dim)),
        d(Random(s.channels, 101)) {
    ToScanGroups(Random(s.channels * s.state_dim, 100, -16.0f, -0.1f).data(),
                 s.channels, s.state_dim, a.data());
  }

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

// y of `tokens` tokens that come in pieces of these sizes, over and over.
std::vector<float> InPieces(const Shape& s, const Inputs& in, size_t tokens,
                            const std::vector<size_t>& sizes,
                            ThreadPool* pool) {
  std::vector<float> state(SelectiveScanFloats(s.channels, s.state_dim), 0.0f);
  std::vector<float> y(tokens * s.channels);
  size_t begin = 0;
  for (size_t i = 0; begin < tokens; ++i) {
    const size_t end = std::min(tokens, begin + sizes[i % sizes.size()]);
    SelectiveScan(in.Params(s, begin, end, state.data(), y.data()), pool);
    begin = end;
  }
  return y;
}

TEST(SelectiveScan, AgreesWithTheRecurrence) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      for (const size_t tokens : {1, 2, 5, 64, 200}) {
        const Inputs in(s, tokens, 7);
        EXPECT_LT(reference::MaxError(InPieces(s, in, tokens, {tokens}, &pool),
                                      reference::SelectiveScan(in.Params(
                                          s, 0, tokens, nullptr, nullptr))),
                  3e-6)
            << s.channels << "x" << s.state_dim << ", " << tokens;
      }
    }
  });
}

TEST(SelectiveScan, GivesTheSameBitsInAnyPieces) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      const size_t tokens = 150;
      const Inputs in(s, tokens, 3);
      const std::vector<float> whole =
          InPieces(s, in, tokens, {tokens}, nullptr);
      for (const std::vector<size_t>& sizes :
           {std::vector<size_t>{1}, {3, 2}, {64}, {1, 100}}) {
        EXPECT_EQ(InPieces(s, in, tokens, sizes, &pool), whole) << sizes[0];
      }
    }
  });
}

TEST(SelectiveScan, WorksInPlaceAndWithoutSkip) {
  ForEachTarget([] {
    const Shape s{37, 16};
    for (const size_t tokens : {2, 50}) {
      Inputs in(s, tokens, 5);
      std::vector<float> state(SelectiveScanFloats(s.channels, s.state_dim));
      SelectiveScanParams p = in.Params(s, 0, tokens, state.data(), nullptr);
      p.d = nullptr;
      const std::vector<double> expected = reference::SelectiveScan(p);
      p.y = in.x.data();
      p.ldy = in.ldx;
      SelectiveScan(p, nullptr);
      std::vector<float> y;
      for (size_t t = 0; t < tokens; ++t) {
        const float* row = in.x.data() + t * in.ldx;
        y.insert(y.end(), row, row + s.channels);
      }
      EXPECT_LT(reference::MaxError(y, expected), 3e-6);
    }
  });
}

TEST(SelectiveScan, SurvivesStrongDecay) {
  ForEachTarget([] {
    const Shape s{20, 16};
    const size_t tokens = 100;
    Inputs in(s, tokens, 6);
    for (size_t i = 0; i < in.dt.size(); i += 3) in.dt[i] = 50.0f;
    // Sums of terms up to 50: their rounding is larger than that of y.
    EXPECT_LT(reference::MaxError(InPieces(s, in, tokens, {tokens}, nullptr),
                                  reference::SelectiveScan(in.Params(
                                      s, 0, tokens, nullptr, nullptr))),
              1e-5);
  });
}

}  // namespace
}  // namespace braid::kernels
