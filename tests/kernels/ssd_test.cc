#include "kernels/ssd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

using Shape = SsdShape;

constexpr Shape kShapes[] = {
    {1, 1, 1, 1},      {4, 16, 16, 2},         {3, 20, 33, 1},
    {2, 32, 128, 1},   {8, 8, 24, 8},          {3, 20, 33, 1, 1, true},
    {2, 16, 12, 1, 2}, {4, 9, 16, 2, 4, true}, {2, 5, 7, 2, 16, true},
};

// Inputs of `tokens` tokens; x, B and C lie in one matrix, as in a model. a is
// that of the token where there is a trapezoid, else of the head.
struct Inputs {
  Inputs(const Shape& s, size_t tokens, unsigned seed)
      : width(s.heads * s.head_dim + 2 * s.groups * s.state_dim),
        xbc(Random(tokens * s.rank * width, seed)),
        dt(Random(tokens * s.heads, seed + 1, 0.001f, 0.5f)),
        a(Random(tokens * s.heads, 100, -16.0f, -0.1f)),
        trapezoid(Random(tokens * s.heads, seed + 2, 0.0f, 1.0f)),
        d(Random(s.heads, 101)) {}

  // Tokens [begin, end) of a sequence whose past `state` has seen.
  SsdParams Params(const Shape& s, size_t begin, size_t end, float* state,
                   float* y) const {
    const size_t inner = s.heads * s.head_dim;
    const float* rows = xbc.data() + begin * s.rank * width;
    return {
        .shape = s,
        .tokens = end - begin,
        .x = rows,
        .ldx = width,
        .b = rows + inner,
        .ldb = width,
        .c = rows + inner + s.groups * s.state_dim,
        .ldc = width,
        .dt = dt.data() + begin * s.heads,
        .lddt = s.heads,
        .a = a.data() + (s.trapezoid ? begin * s.heads : 0),
        .lda = s.trapezoid ? s.heads : 0,
        .trapezoid = s.trapezoid ? trapezoid.data() + begin * s.heads : nullptr,
        .d = d.data(),
        .state = state,
        .past_tokens = begin,
        .y = y + begin * s.rank * inner,
        .ldy = inner};
  }

  size_t width;
  std::vector<float> xbc, dt, a, trapezoid, d;
};

// y of `tokens` tokens that come in pieces of these sizes, over and over.
std::vector<float> InPieces(const Shape& s, const Inputs& in, size_t tokens,
                            const std::vector<size_t>& sizes,
                            ThreadPool* pool) {
  std::vector<float> state(SsdStateFloats(s), 0.0f);
  std::vector<float> y(tokens * s.rank * s.heads * s.head_dim);
  size_t begin = 0;
  for (size_t i = 0; begin < tokens; ++i) {
    const size_t end = std::min(tokens, begin + sizes[i % sizes.size()]);
    Ssd(in.Params(s, begin, end, state.data(), y.data()), pool);
    begin = end;
  }
  return y;
}

TEST(Ssd, AgreesWithTheRecurrence) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      // Around one chunk, several, and more than are kept at once (64).
      for (const size_t tokens : {1, 7, 15, 16, 17, 200, 1030}) {
        const Inputs in(s, tokens, 7);
        const std::vector<float> y = InPieces(s, in, tokens, {tokens}, &pool);
        const std::vector<double> expected =
            reference::Ssd(in.Params(s, 0, tokens, nullptr, nullptr));
        EXPECT_LT(reference::MaxError(y, expected), 2e-5) << tokens;
      }
    }
  });
}

TEST(Ssd, GivesTheSameBitsInAnyPieces) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      const size_t tokens = 1100;
      const Inputs in(s, tokens, 3);
      const std::vector<float> whole =
          InPieces(s, in, tokens, {tokens}, nullptr);
      for (const std::vector<size_t>& sizes :
           {std::vector<size_t>{1}, {7}, {16}, {17, 1, 200}, {1030, 70}}) {
        EXPECT_EQ(InPieces(s, in, tokens, sizes, &pool), whole) << sizes[0];
      }
    }
  });
}

TEST(Ssd, WorksInPlaceAndWithoutSkip) {
  ForEachTarget([] {
    const Shape s{2, 16, 16, 1};
    for (const size_t tokens : {3, 100}) {
      Inputs in(s, tokens, 5);
      std::vector<float> state(SsdStateFloats(s), 0.0f);
      SsdParams p = in.Params(s, 0, tokens, state.data(), nullptr);
      p.d = nullptr;
      const std::vector<double> expected = reference::Ssd(p);
      p.y = in.xbc.data();
      p.ldy = in.width;
      Ssd(p, nullptr);
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
    const std::vector<double> expected =
        reference::Ssd(in.Params(s, 0, tokens, nullptr, nullptr));
    for (const size_t size : {1, 128}) {
      EXPECT_LT(reference::MaxError(InPieces(s, in, tokens, {size}, nullptr),
                                    expected),
                2e-5);
    }
  });
}

}  // namespace
}  // namespace braid::kernels
