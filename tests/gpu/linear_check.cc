#include <memory>

#include "kernels/cuda/linear.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;

struct Shape {
  int64_t m;
  int64_t n;
  int64_t k;
  bool biased;
  bool added;
};

template <class T>
void CheckShape(Checks& checks, cuda::LinearProducts* products, const Shape& s,
                double bound) {
  const auto a = checks.Random<T>(s.m, s.k + 8, -1, 1);
  const auto weights = checks.Random<T>(s.n, s.k, -1, 1);
  const auto bias = checks.Random<T>(1, s.n, -1, 1);
  const auto residual = checks.Random<T>(s.m, s.n + 8, -1, 1);
  DeviceArray<T> c(s.m * (s.n + 8));
  cuda::LinearParams<T> p;
  p.a = a.device.data();
  p.lda = a.ld;
  p.m = s.m;
  p.weights = weights.device.data();
  p.ldw = weights.ld;
  p.n = s.n;
  p.k = s.k;
  p.bias = s.biased ? bias.device.data() : nullptr;
  p.residual = s.added ? residual.device.data() : nullptr;
  p.c = c.data();
  p.ldc = s.n + 8;
  Require(products->Multiply(p, checks.stream()));
  std::vector<double> expected(s.m * s.n);
  Parallel(s.m, [&](int64_t r) {
    for (int64_t i = 0; i < s.n; ++i) {
      double sum = s.biased ? bias.at(0, i) : 0;
      if (s.added) sum += residual.at(r, i);
      for (int64_t j = 0; j < s.k; ++j) sum += a.at(r, j) * weights.at(i, j);
      expected[r * s.n + i] = sum;
    }
  });
  const std::string name = std::string("linear ") + TypeName<T>() + " " +
                           std::to_string(s.m) + "x" + std::to_string(s.n) +
                           "x" + std::to_string(s.k);
  checks.Compare(name, c, s.m, s.n, s.n + 8, expected, bound);
  if (s.n >= 1000) {
    checks.Time(name, (s.m * s.k + s.n * s.k + s.m * s.n) * 1.0 * sizeof(T),
                2.0 * s.m * s.n * s.k,
                [&] { Require(products->Multiply(p, checks.stream())); });
  }
}

template <class T>
void CheckOf(Checks& checks, cuda::LinearProducts* products, double bound) {
  CheckShape<T>(checks, products, {1, 8, 8, false, false}, bound);
  CheckShape<T>(checks, products, {3, 24, 40, true, false}, bound);
  CheckShape<T>(checks, products, {17, 64, 128, true, true}, bound);
  CheckShape<T>(checks, products, {5, 7, 9, false, true}, bound);
  // The shape is known now, the addresses are not.
  CheckShape<T>(checks, products, {17, 64, 128, true, true}, bound);
  if (checks.small()) return;
  CheckShape<T>(checks, products, {1, 8192, 4096, true, true}, bound);
  CheckShape<T>(checks, products, {512, 2048, 4096, true, true}, bound);
}

}  // namespace

void CheckLinear(Checks& checks) {
  const DeviceArray<uint8_t> workspace(size_t{32} << 20);
  std::unique_ptr<cuda::LinearProducts> products;
  Require(cuda::LinearProducts::Create(workspace.data(), workspace.size(),
                                       &products));
  CheckOf<float>(checks, products.get(), 1e-5);
  CheckOf<bf16>(checks, products.get(), 4e-3);
}

}  // namespace braid::gpu_check
