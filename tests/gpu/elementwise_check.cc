#include <algorithm>
#include <cmath>

#include "kernels/cuda/elementwise.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;
using kernels::Activation;

double Expected(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kRelu2:
      return x > 0 ? x * x : 0;
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

struct Shape {
  int64_t rows;
  int64_t dim;
  int64_t ld;
};

template <class T>
void CheckActivation(Checks& checks, const Shape& s, Activation activation,
                     bool gated, double bound) {
  const auto x = checks.Random<T>(s.rows, s.ld, -6, 6);
  const auto up = checks.Random<T>(s.rows, s.ld, -2, 2);
  DeviceArray<T> out(s.rows * s.ld);
  std::vector<double> expected;
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t i = 0; i < s.dim; ++i) {
      expected.push_back(Expected(activation, x.at(r, i)) *
                         (gated ? up.at(r, i) : 1));
    }
  }
  cuda::ActivationParams<T> p;
  p.activation = activation;
  p.x = x.device.data();
  p.ldx = s.ld;
  p.up = gated ? up.device.data() : nullptr;
  p.ldup = s.ld;
  p.rows = s.rows;
  p.dim = s.dim;
  p.out = out.data();
  p.ldo = s.ld;
  Require(cuda::Activate(p, checks.stream()));
  const std::string name = std::string("activation ") +
                           std::to_string(static_cast<int>(activation)) +
                           (gated ? " gated " : " ") + TypeName<T>() + " " +
                           std::to_string(s.rows) + "x" + std::to_string(s.dim);
  checks.Compare(name, out, s.rows, s.dim, s.ld, expected, bound);
  if (s.rows > 1000) {
    checks.Time(name, (gated ? 3.0 : 2.0) * s.rows * s.dim * sizeof(T), 0,
                [&] { Require(cuda::Activate(p, checks.stream())); });
  }
}

template <class T>
void CheckAddScaled(Checks& checks, const Shape& s, double bound) {
  const auto x = checks.Random<T>(s.rows, s.ld, -1, 1);
  const auto sum = checks.Random<T>(s.rows, s.dim, -1, 1);
  std::vector<double> expected;
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t i = 0; i < s.dim; ++i) {
      expected.push_back(sum.at(r, i) + 0.75 * x.at(r, i));
    }
  }
  Require(cuda::AddScaled(0.75f, x.device.data(), s.ld, s.rows, s.dim,
                          sum.device.data(), s.dim, checks.stream()));
  checks.Compare(std::string("add scaled ") + TypeName<T>(), sum.device, s.rows,
                 s.dim, s.dim, expected, bound);
}

template <class T>
void CheckSoftplus(Checks& checks, const Shape& s) {
  const auto x = checks.Random<T>(s.rows, s.ld, -30, 30);
  const auto bias = checks.Random<float>(1, s.dim, -5, 5);
  DeviceArray<float> out(s.rows * s.dim);
  std::vector<double> expected;
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t i = 0; i < s.dim; ++i) {
      const double at = static_cast<float>(x.at(r, i) + bias.at(0, i));
      expected.push_back(std::clamp(
          at > 0 ? at + std::log1p(std::exp(-at)) : std::log1p(std::exp(at)),
          1e-3, 20.0));
    }
  }
  cuda::SoftplusParams<T> p;
  p.x = x.device.data();
  p.ldx = s.ld;
  p.bias = bias.device.data();
  p.rows = s.rows;
  p.dim = s.dim;
  p.low = 1e-3f;
  p.high = 20.0f;
  p.out = out.data();
  p.ldo = s.dim;
  Require(cuda::Softplus(p, checks.stream()));
  checks.Compare(std::string("softplus ") + TypeName<T>(), out, s.rows, s.dim,
                 s.dim, expected, 1e-6);
}

template <class T>
void CheckRope(Checks& checks, int heads, int stride, int half, bool adjacent,
               double bound) {
  const int64_t rows = 5;
  const int64_t ld = heads * stride + 3;
  auto x = checks.Random<T>(rows, ld, -1, 1);
  std::vector<int32_t> positions = {0, 1, 77, 4096, 131071};
  std::vector<float> frequencies(half);
  for (int i = 0; i < half; ++i) {
    frequencies[i] = std::pow(10000.0f, -static_cast<float>(i) / half);
  }
  std::vector<double> expected(x.host.begin(), x.host.end());
  for (int64_t r = 0; r < rows; ++r) {
    for (int h = 0; h < heads; ++h) {
      for (int i = 0; i < half; ++i) {
        const double angle = static_cast<float>(positions[r]) * frequencies[i];
        const int64_t base = r * ld + h * stride;
        const int64_t a = base + (adjacent ? 2 * i : i);
        const int64_t b = base + (adjacent ? 2 * i + 1 : i + half);
        const double first = x.host[a];
        const double second = x.host[b];
        expected[a] =
            0.5 * (first * std::cos(angle) - second * std::sin(angle));
        expected[b] =
            0.5 * (second * std::cos(angle) + first * std::sin(angle));
      }
    }
  }
  const DeviceArray<int32_t> device_positions(positions);
  const DeviceArray<float> device_frequencies(frequencies);
  cuda::RopeParams<T> p;
  p.x = x.device.data();
  p.ldx = ld;
  p.rows = rows;
  p.heads = heads;
  p.head_stride = stride;
  p.positions = device_positions.data();
  p.inverse_frequencies = device_frequencies.data();
  p.half = half;
  p.magnitude = 0.5f;
  p.adjacent_pairs = adjacent;
  Require(cuda::ApplyRope(p, checks.stream()));
  checks.Compare(std::string("rope ") + TypeName<T>() +
                     (adjacent ? " adjacent" : " halves"),
                 x.device, rows, ld, ld, expected, bound);
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  const Activation all[] = {Activation::kNone, Activation::kGelu,
                            Activation::kSilu, Activation::kRelu2,
                            Activation::kSigmoid};
  for (const Activation activation : all) {
    for (const bool gated : {false, true}) {
      CheckActivation<T>(checks, {3, 5, 7}, activation, gated, bound);
      CheckActivation<T>(checks, {4, 264, 272}, activation, gated, bound);
    }
  }
  CheckAddScaled<T>(checks, {3, 13, 17}, bound);
  CheckAddScaled<T>(checks, {7, 128, 256}, bound);
  CheckSoftplus<T>(checks, {9, 13, 40});
  CheckRope<T>(checks, 3, 16, 8, false, bound);
  CheckRope<T>(checks, 2, 24, 5, true, bound);
  if (checks.small()) return;
  CheckActivation<T>(checks, {8192, 8192, 8256}, Activation::kSilu, true,
                     bound);
}

}  // namespace

void CheckElementwise(Checks& checks) {
  CheckOf<float>(checks, 2e-6);
  CheckOf<bf16>(checks, 4e-3);
}

}  // namespace braid::gpu_check
