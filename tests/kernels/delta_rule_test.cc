#include "kernels/delta_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

struct Shape {
  size_t key_heads, value_heads, key_dim, value_dim;
};

constexpr Shape kShapes[] = {{1, 1, 1, 1},    {2, 4, 16, 16}, {3, 3, 20, 33},
                             {1, 3, 33, 20},  {2, 2, 7, 48},  {1, 2, 64, 5},
                             {1, 2, 128, 128}};

// Scales each of the rows of `dim` to the norm `norm`.
void Normalise(size_t dim, float norm, std::vector<float>* rows) {
  for (size_t at = 0; at < rows->size(); at += dim) {
    double squares = 0.0;
    for (size_t i = 0; i < dim; ++i)
      squares += (*rows)[at + i] * (*rows)[at + i];
    const float scale = norm / static_cast<float>(std::sqrt(squares + 1e-12));
    for (size_t i = 0; i < dim; ++i) (*rows)[at + i] *= scale;
  }
}

// Inputs of `tokens` tokens, with gaps between the rows of v, g and beta. The
// decays are strong for the first and for some heads weak.
struct Inputs {
  Inputs(const Shape& shape, bool per_channel, size_t tokens, unsigned seed,
         float strongest = -3.0f)
      : s(shape),
        channels(per_channel),
        q(Random(tokens * s.key_heads * s.key_dim, seed)),
        k(Random(tokens * s.key_heads * s.key_dim, seed + 1)),
        ldv(s.value_heads * s.value_dim + 3),
        v(Random(tokens * ldv, seed + 2)),
        ldg(s.value_heads * (per_channel ? s.key_dim : 1) + 1),
        g(Random(tokens * ldg, seed + 3, -1.0f, 0.0f)),
        ldbeta(s.value_heads + 2),
        beta(Random(tokens * ldbeta, seed + 4, 0.0f, 2.0f)) {
    Normalise(s.key_dim, 1.0f, &q);
    Normalise(s.key_dim, 1.0f, &k);
    // Small numbers are the common ones, and the only ones under which a state
    // lives for longer than a chunk.
    for (float& value : g) value = strongest * std::pow(-value, 8.0f);
  }

  // Tokens [begin, end) of a sequence whose past `state` has seen.
  DeltaRuleParams Params(size_t begin, size_t end, float* state,
                         float* y) const {
    const size_t key_width = s.key_heads * s.key_dim;
    const size_t value_width = s.value_heads * s.value_dim;
    return {.tokens = end - begin,
            .key_heads = s.key_heads,
            .value_heads = s.value_heads,
            .key_dim = s.key_dim,
            .value_dim = s.value_dim,
            .q = q.data() + begin * key_width,
            .ldq = key_width,
            .k = k.data() + begin * key_width,
            .ldk = key_width,
            .v = v.data() + begin * ldv,
            .ldv = ldv,
            .g = g.data() + begin * ldg,
            .ldg = ldg,
            .decay_per_key_channel = channels,
            .beta = beta.data() + begin * ldbeta,
            .ldbeta = ldbeta,
            .state = state,
            .past_tokens = begin,
            .y = y + begin * value_width,
            .ldy = value_width};
  }

  size_t StateSize() const {
    return DeltaRuleStateFloats(s.value_heads, s.key_dim, s.value_dim);
  }
  size_t Width() const { return s.value_heads * s.value_dim; }

  Shape s;
  bool channels;
  std::vector<float> q, k;
  size_t ldv;
  std::vector<float> v;
  size_t ldg;
  std::vector<float> g;
  size_t ldbeta;
  std::vector<float> beta;
};

// y of `tokens` tokens that come in pieces of these sizes, over and over.
std::vector<float> InPieces(const Inputs& in, size_t tokens,
                            const std::vector<size_t>& sizes,
                            ThreadPool* pool) {
  std::vector<float> state(in.StateSize(), 0.0f);
  std::vector<float> y(tokens * in.Width());
  size_t begin = 0;
  for (size_t i = 0; begin < tokens; ++i) {
    const size_t end = std::min(tokens, begin + sizes[i % sizes.size()]);
    DeltaRule(in.Params(begin, end, state.data(), y.data()), pool);
    begin = end;
  }
  return y;
}

// Compares the whole sequence with the definition, and token after token with
// the whole.
void ExpectAgrees(const Inputs& in, size_t tokens, ThreadPool* pool,
                  double tolerance = 1e-5) {
  const std::vector<double> expected =
      reference::DeltaRule(in.Params(0, tokens, nullptr, nullptr));
  const std::vector<float> whole = InPieces(in, tokens, {tokens}, pool);
  EXPECT_LT(reference::MaxError(whole, expected), tolerance)
      << tokens << ", " << in.s.key_dim << "x" << in.s.value_dim << ", "
      << in.channels;
  EXPECT_EQ(InPieces(in, tokens, {1}, pool), whole)
      << tokens << ", " << in.s.key_dim << "x" << in.s.value_dim << ", "
      << in.channels;
}

TEST(DeltaRule, AgreesWithTheRecurrence) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const Shape& s : kShapes) {
      for (const bool per_channel : {false, true}) {
        // Around one chunk, and several.
        for (const size_t tokens : {1, 7, 15, 16, 17, 33, 65, 200}) {
          ExpectAgrees(Inputs(s, per_channel, tokens, 7), tokens, &pool);
        }
      }
    }
  });
}

// Decays that leave nothing of a state within two tokens, beside ones that keep
// all of it: exp(-G) would overflow, and G be too large for its differences.
TEST(DeltaRule, SurvivesStrongDecay) {
  ForEachTarget([] {
    for (const bool per_channel : {false, true}) {
      const Shape s{1, 2, 24, 20};
      const size_t tokens = 150;
      Inputs in(s, per_channel, tokens, 5);
      for (size_t i = 0; i < in.g.size(); i += 3) in.g[i] = -50.0f;
      for (size_t i = 1; i < in.g.size(); i += 3) in.g[i] = 0.0f;
      ExpectAgrees(in, tokens, nullptr);
      // One channel (or head) dies at once, the others live on.
      for (size_t i = 0; i < in.g.size(); ++i) {
        in.g[i] = i % in.ldg == 0 ? -50.0f : -0.001f;
      }
      ExpectAgrees(in, tokens, nullptr);
      for (float& g : in.g) g = -50.0f;
      ExpectAgrees(in, tokens, nullptr);
    }
  });
}

// Nothing is forgotten, and each token reflects the state at its key.
TEST(DeltaRule, SurvivesReflectionsWithoutDecay) {
  ForEachTarget([] {
    for (const bool per_channel : {false, true}) {
      const Shape s{2, 2, 32, 24};
      const size_t tokens = 130;
      Inputs in(s, per_channel, tokens, 5, 0.0f);
      for (float& beta : in.beta) beta = 2.0f;
      ExpectAgrees(in, tokens, nullptr);
      // The same key again and again: the triangular system is as far from a
      // diagonal one as it gets, and with beta = 2 the recurrence v - S^T k
      // neither damps an error nor lets errors average out.
      const size_t width = s.key_heads * s.key_dim;
      for (size_t i = width; i < in.k.size(); ++i) in.k[i] = in.k[i - width];
      for (const float beta : {0.5f, 1.0f, 2.0f}) {
        in.beta.assign(in.beta.size(), beta);
        ExpectAgrees(in, tokens, nullptr, beta < 2.0f ? 1e-5 : 1e-4);
      }
    }
  });
}

TEST(DeltaRule, GivesTheSameBitsInAnyPieces) {
  std::mt19937 random(11);
  ForEachTarget([&] {
    for (const bool per_channel : {false, true}) {
      const Shape s{2, 4, 20, 24};
      const size_t tokens = 230;
      const Inputs in(s, per_channel, tokens, 3);
      const std::vector<float> whole = InPieces(in, tokens, {tokens}, nullptr);
      for (int trial = 0; trial < 8; ++trial) {
        std::vector<size_t> sizes;
        for (int i = 0; i < 10; ++i) sizes.push_back(random() % 100 + 1);
        EXPECT_EQ(InPieces(in, tokens, sizes, nullptr), whole);
      }
    }
  });
}

TEST(DeltaRule, WorksInPlaceAndAlikeForAnyNumberOfThreads) {
  ThreadPool pool(3);
  ForEachTarget([&] {
    for (const bool per_channel : {false, true}) {
      const Shape s{2, 6, 40, 50};
      for (const size_t tokens : {3, 100}) {
        Inputs in(s, per_channel, tokens, 5);
        std::vector<float> state(in.StateSize(), 0.0f);
        std::vector<float> y(tokens * in.Width());
        DeltaRuleParams p = in.Params(0, tokens, state.data(), y.data());
        DeltaRule(p, nullptr);
        std::vector<float> other_state(in.StateSize(), 0.0f);
        p.state = other_state.data();
        p.y = in.v.data();
        p.ldy = in.ldv;
        DeltaRule(p, &pool);
        EXPECT_EQ(state, other_state);
        for (size_t t = 0; t < tokens; ++t) {
          EXPECT_TRUE(std::equal(y.begin() + t * in.Width(),
                                 y.begin() + (t + 1) * in.Width(),
                                 in.v.begin() + t * in.ldv));
        }
      }
    }
  });
}

}  // namespace
}  // namespace braid::kernels
