#include <cmath>

#include "kernels/cuda/norm.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;

double Act(kernels::Activation activation, double x) {
  return activation == kernels::Activation::kSigmoid ? 1 / (1 + std::exp(-x))
                                                     : x / (1 + std::exp(-x));
}

struct Shape {
  int64_t rows;
  int dim;
  int groups;
  int64_t ld;
};

template <class T>
void Layer(Checks& checks, const Shape& s, bool biased, double bound) {
  const auto x = checks.Random<T>(s.rows, s.ld, -1, 2);
  const auto weight = checks.Random<float>(1, s.dim, 0.5f, 1.5f);
  const auto bias = checks.Random<float>(1, s.dim, -1, 1);
  std::vector<double> expected;
  for (int64_t r = 0; r < s.rows; ++r) {
    double mean = 0;
    double variance = 0;
    for (int i = 0; i < s.dim; ++i) mean += x.at(r, i) / s.dim;
    for (int i = 0; i < s.dim; ++i) {
      variance += std::pow(x.at(r, i) - mean, 2) / s.dim;
    }
    for (int i = 0; i < s.dim; ++i) {
      expected.push_back((x.at(r, i) - mean) / std::sqrt(variance + 1e-5) *
                             weight.at(0, i) +
                         (biased ? bias.at(0, i) : 0));
    }
  }
  DeviceArray<T> out(s.rows * s.ld);
  cuda::LayerNormParams<T> p;
  p.x = x.device.data();
  p.ldx = s.ld;
  p.rows = s.rows;
  p.dim = s.dim;
  p.weight = weight.device.data();
  p.bias = biased ? bias.device.data() : nullptr;
  p.out = out.data();
  p.ldo = s.ld;
  Require(cuda::LayerNorm(p, checks.stream()));
  checks.Compare(std::string("layer norm ") + TypeName<T>() + " " +
                     std::to_string(s.rows) + "x" + std::to_string(s.dim),
                 out, s.rows, s.dim, s.ld, expected, bound);
}

enum class Gate { kNone, kFirst, kLast };

template <class T>
void Rms(Checks& checks, const Shape& s, Gate gate, bool shared, double bound) {
  const auto activation = gate == Gate::kLast ? kernels::Activation::kSigmoid
                                              : kernels::Activation::kSilu;
  const int width = s.dim / s.groups;
  auto x = checks.Random<T>(s.rows, s.ld, -1, 2);
  const auto gates = checks.Random<T>(s.rows, s.ld, -3, 3);
  const auto weight = checks.Random<float>(1, s.dim, -0.5f, 0.5f);
  std::vector<double> expected(s.rows * s.dim);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int g = 0; g < s.groups; ++g) {
      std::vector<double> values(width);
      double square = 0;
      for (int i = 0; i < width; ++i) {
        values[i] = x.at(r, g * width + i);
        if (gate == Gate::kFirst) {
          values[i] *= Act(activation, gates.at(r, g * width + i));
        }
        square += values[i] * values[i] / width;
      }
      for (int i = 0; i < width; ++i) {
        double value = values[i] / std::sqrt(square + 1e-6) *
                       (weight.at(0, shared ? i : g * width + i) + 1);
        if (gate == Gate::kLast) {
          value *= Act(activation, gates.at(r, g * width + i));
        }
        expected[r * s.dim + g * width + i] = value;
      }
    }
  }
  DeviceArray<T> out(s.rows * s.ld);
  cuda::RmsNormParams<T> p;
  p.x = x.device.data();
  p.ldx = s.ld;
  p.rows = s.rows;
  p.dim = s.dim;
  p.groups = s.groups;
  p.weight = weight.device.data();
  p.weight_shared_by_groups = shared;
  p.weight_offset = 1;
  p.gate = gate == Gate::kNone ? nullptr : gates.device.data();
  p.ldg = s.ld;
  p.gate_order = gate == Gate::kLast ? kernels::GateOrder::kNormFirst
                                     : kernels::GateOrder::kGateFirst;
  p.gate_activation = activation;
  p.epsilon = 1e-6f;
  p.out = out.data();
  p.ldo = s.ld;
  Require(cuda::RmsNorm(p, checks.stream()));
  const std::string name =
      std::string("rms norm ") + TypeName<T>() + " " + std::to_string(s.rows) +
      "x" + std::to_string(s.dim) + "/" + std::to_string(s.groups);
  checks.Compare(name, out, s.rows, s.dim, s.ld, expected, bound);
  const double values = static_cast<double>(s.rows) * s.dim;
  if (s.rows > 1000) {
    checks.Time(name, (gate == Gate::kNone ? 2 : 3) * values * sizeof(T), 0,
                [&] { Require(cuda::RmsNorm(p, checks.stream())); });
  }
  // In place. What lies between the rows of x is not NaN: compare it apart.
  p.out = x.device.data();
  p.ldo = s.ld;
  Require(cuda::RmsNorm(p, checks.stream()));
  const auto in_place = x.device.Read();
  const auto apart = out.Read();
  bool same = true;
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t i = 0; i < s.ld; ++i) {
      const float got = Widened(in_place[r * s.ld + i]);
      same &= i < s.dim ? got == Widened(apart[r * s.ld + i])
                        : got == x.host[r * s.ld + i];
    }
  }
  checks.Expect(name + ": in place", same);
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  for (const Shape& s : {Shape{1, 1, 1, 1}, Shape{5, 7, 1, 9},
                         Shape{3, 64, 1, 64}, Shape{9, 129, 3, 136},
                         Shape{2, 2688, 8, 2688}, Shape{3, 1000, 1, 1008}}) {
    Layer<T>(checks, s, s.rows % 2 == 1, bound);
    Rms<T>(checks, s, Gate::kNone, false, bound);
    Rms<T>(checks, s, Gate::kFirst, false, bound);
    Rms<T>(checks, s, Gate::kLast, true, bound);
  }
  if (checks.small()) return;
  Layer<T>(checks, {4096, 4096, 1, 4096}, true, bound);
  Rms<T>(checks, {16384, 4096, 1, 4096}, Gate::kNone, false, bound);
  Rms<T>(checks, {8192, 4096, 32, 4160}, Gate::kFirst, false, bound);
}

}  // namespace

void CheckNorm(Checks& checks) {
  CheckOf<float>(checks, 2e-6);
  CheckOf<bf16>(checks, 4e-3);
}

}  // namespace braid::gpu_check
