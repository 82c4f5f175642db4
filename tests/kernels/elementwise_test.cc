#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/reference.h"
#include "tests/kernels/targets.h"

namespace braid::kernels {
namespace {

using reference::Random;

constexpr size_t kSizes[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 64, 101};

// Values from -20 to 20 in small steps: the whole range in which the functions
// are neither zero nor the identity.
std::vector<float> Range() {
  std::vector<float> x;
  for (int i = -20'000; i <= 20'000; ++i) x.push_back(i * 0.001f);
  return x;
}

TEST(Activate, GeluHasF32AccuracyInBothTails) {
  ForEachTarget([] {
    const std::vector<float> x = Range();
    std::vector<float> y(x.size());
    Activate(Activation::kGelu, x.data(), y.data(), x.size());
    double worst = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = reference::Activate(Activation::kGelu, x[i]);
      // Relative error down to where the result leaves the normal f32 range.
      if (std::abs(exact) > 1e-30) {
        worst = std::max(worst, std::abs(y[i] - exact) / std::abs(exact));
      } else {
        EXPECT_NEAR(y[i], exact, 1e-30);
      }
      EXPECT_NEAR(y[i], exact, 2.5e-7 * std::max(1.0, std::abs(exact)));
    }
    // In the far tail the rounding of x^2 / 2 alone costs 4e-6.
    EXPECT_LT(worst, 1e-5);
  });
}

TEST(Activate, SiluRelu2AndSigmoid) {
  ForEachTarget([] {
    const std::vector<float> x = Range();
    std::vector<float> y(x.size());
    for (const Activation activation :
         {Activation::kSilu, Activation::kRelu2, Activation::kSigmoid,
          Activation::kNone}) {
      Activate(activation, x.data(), y.data(), x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        const double exact = reference::Activate(activation, x[i]);
        ASSERT_NEAR(y[i], exact, 4e-7 * std::abs(exact) + 1e-12) << x[i];
      }
    }
  });
}

TEST(Activate, ExtremesDoNotOverflow) {
  ForEachTarget([] {
    const float huge = std::numeric_limits<float>::max();
    const std::vector<float> x = {-huge,  -1e10f, -200.0f, 0.0f,
                                  200.0f, 1e10f,  huge};
    std::vector<float> y(x.size());
    for (const Activation activation : {Activation::kGelu, Activation::kSilu}) {
      Activate(activation, x.data(), y.data(), x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(y[i], x[i] > 0 ? x[i] : 0.0f) << x[i];
      }
    }
    Activate(Activation::kSigmoid, x.data(), y.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(y[i], x[i] > 0 ? 1.0f : x[i] < 0 ? 0.0f : 0.5f) << x[i];
    }
    Softplus(x.data(), x.size(), nullptr, 1, x.size(), y.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(y[i], x[i] == 0.0f ? std::log(2.0f) : std::max(x[i], 0.0f),
                  1e-7)
          << x[i];
    }
  });
}

TEST(Softplus, HasF32AccuracyWithAndWithoutBias) {
  ForEachTarget([] {
    const std::vector<float> x = Range();
    std::vector<float> y(x.size());
    Softplus(x.data(), x.size(), nullptr, 1, x.size(), y.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::log1p(std::exp(static_cast<double>(x[i])));
      ASSERT_NEAR(y[i], exact, 5e-7 * exact) << x[i];
    }
    const size_t rows = 3, dim = 21, ldx = 25, ldo = 23;
    const std::vector<float> in = Random(rows * ldx, 1, -5, 5);
    const std::vector<float> bias = Random(dim, 2, -5, 5);
    std::vector<float> out(rows * ldo, 9.0f);
    Softplus(in.data(), ldx, bias.data(), rows, dim, out.data(), ldo);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i < ldo; ++i) {
        const double exact =
            i < dim ? std::log1p(std::exp(static_cast<double>(in[r * ldx + i]) +
                                          bias[i]))
                    : 9.0;
        EXPECT_NEAR(out[r * ldo + i], exact, 1e-6 * exact);
      }
    }
  });
}

TEST(GatedActivation, AgreesAtEverySizeAndInPlace) {
  ForEachTarget([] {
    for (const Activation activation :
         {Activation::kNone, Activation::kGelu, Activation::kSilu,
          Activation::kRelu2, Activation::kSigmoid}) {
      for (const size_t n : kSizes) {
        std::vector<float> gate = Random(n, 1, -8, 8);
        std::vector<float> up = Random(n, 2, -8, 8);
        std::vector<double> expected(n);
        for (size_t i = 0; i < n; ++i) {
          expected[i] = reference::Activate(activation, gate[i]) * up[i];
        }
        std::vector<float> out(n);
        GatedActivation(activation, gate.data(), up.data(), out.data(), n);
        EXPECT_LT(reference::MaxError(out, expected), 1e-6) << n;
        out = up;
        GatedActivation(activation, gate.data(), out.data(), out.data(), n);
        EXPECT_LT(reference::MaxError(out, expected), 1e-6) << n;
        GatedActivation(activation, gate.data(), up.data(), gate.data(), n);
        EXPECT_LT(reference::MaxError(gate, expected), 1e-6) << n;
      }
    }
  });
}

TEST(AddScaledAndScale, AgreeAtEverySize) {
  ForEachTarget([] {
    for (const size_t n : kSizes) {
      const std::vector<float> x = Random(n, 1);
      std::vector<float> out = Random(n, 2);
      std::vector<double> expected(n);
      for (size_t i = 0; i < n; ++i) expected[i] = out[i] + 1.5 * x[i];
      AddScaled(1.5f, x.data(), out.data(), n);
      EXPECT_LT(reference::MaxError(out, expected), 1e-6) << n;
      for (size_t i = 0; i < n; ++i) expected[i] = -3.0 * x[i];
      Scale(-3.0f, x.data(), out.data(), n);
      EXPECT_LT(reference::MaxError(out, expected), 1e-6) << n;
    }
  });
}

TEST(Softmax, SumsToOneAndIgnoresMinusInfinity) {
  ForEachTarget([] {
    for (const size_t n : {size_t{1}, size_t{5}, size_t{16}, size_t{37}}) {
      std::vector<float> row = Random(n, 3, -30, 30);
      if (n > 2) row[2] = -std::numeric_limits<float>::infinity();
      std::vector<double> expected(n);
      double sum = 0.0;
      for (size_t i = 0; i < n; ++i) {
        sum += expected[i] = std::exp(static_cast<double>(row[i]));
      }
      for (double& e : expected) e /= sum;
      Softmax(row.data(), n);
      EXPECT_LT(reference::MaxError(row, expected), 1e-6) << n;
      if (n > 2) {
        EXPECT_EQ(row[2], 0.0f);
      }
    }
  });
}

TEST(ArgMax, IsTheFirstOfTheLargestAtEverySize) {
  ForEachTarget([] {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const size_t n : kSizes) {
      std::vector<float> x = Random(n, 3);
      EXPECT_EQ(
          ArgMax(x.data(), n),
          static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin()))
          << n;
      for (size_t at = 0; at < n; ++at) {
        x = Random(n, 3);
        x[at] = kInfinity;
        x[n - 1] = kInfinity;
        if (at > 0) x[at - 1] = kNan;
        EXPECT_EQ(ArgMax(x.data(), n), at) << n;
      }
      x.assign(n, kNan);
      if (n > 1) x[1] = -kInfinity;
      EXPECT_EQ(ArgMax(x.data(), n), 0u) << n;
    }
  });
}

TEST(Dot, AgreesAtEverySize) {
  ForEachTarget([] {
    for (const size_t n : kSizes) {
      const std::vector<float> a = Random(n, 1);
      const std::vector<float> b = Random(n, 2);
      double expected = 0.0;
      for (size_t i = 0; i < n; ++i) {
        expected += static_cast<double>(a[i]) * b[i];
      }
      EXPECT_NEAR(Dot(a.data(), b.data(), n), expected, 1e-5) << n;
    }
  });
}

}  // namespace
}  // namespace braid::kernels
