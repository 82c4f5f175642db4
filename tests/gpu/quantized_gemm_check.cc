#include <algorithm>
#include <cmath>

#include "kernels/cuda/quantized_gemm.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;
using kernels::Activation;

struct Shape {
  int bits;
  int group_size;
  bool zeros;
  int64_t m;
  int n;
  int k;
};

// `count` matrices of one shape, with every code random.
struct Matrices {
  Matrices(Checks& checks, const Shape& s, int count)
      : shape(s),
        groups((s.k + s.group_size - 1) / s.group_size),
        row_bytes((int64_t{s.k} * s.bits / 8 + 1 + 15) / 16 * 16),
        rows(int64_t{count} * s.n),
        codes(Draw<uint8_t>(
            rows * row_bytes,
            [&] { return static_cast<uint8_t>(checks.random()()); })),
        scales(Draw<__half>(
            rows * groups,
            [&] {
              return __float2half_rn(
                  0.001f +
                  0.01f * static_cast<float>(checks.random()() % 64) / 64);
            })),
        zeros(Draw<uint8_t>(rows * groups,
                            [&] {
                              return static_cast<uint8_t>(checks.random()() %
                                                          (1u << s.bits));
                            })),
        device_codes(codes),
        device_scales(scales),
        device_zeros(zeros) {}

  template <class Value, class Next>
  static std::vector<Value> Draw(int64_t count, const Next& next) {
    std::vector<Value> values(count);
    for (Value& value : values) value = next();
    return values;
  }

  cuda::QuantizedMatrixView View() const {
    cuda::QuantizedMatrixView view;
    view.bits = shape.bits;
    view.group_size = shape.group_size;
    view.n = shape.n;
    view.k = shape.k;
    view.codes = device_codes.data();
    view.row_bytes = row_bytes;
    view.scales = device_scales.data();
    view.zeros = shape.zeros ? device_zeros.data() : nullptr;
    return view;
  }

  double Weight(int64_t row, int at) const {
    const int code = shape.bits == 8
                         ? codes[row * row_bytes + at]
                         : codes[row * row_bytes + at / 2] >> (at % 2 * 4) & 15;
    const int64_t group = row * groups + at / shape.group_size;
    const int zero = shape.zeros ? zeros[group] : 1 << (shape.bits - 1);
    return static_cast<double>(__half2float(scales[group])) * (code - zero);
  }

  Shape shape;
  int64_t groups;
  int64_t row_bytes;
  int64_t rows;
  std::vector<uint8_t> codes;
  std::vector<__half> scales;
  std::vector<uint8_t> zeros;
  DeviceArray<uint8_t> device_codes;
  DeviceArray<__half> device_scales;
  DeviceArray<uint8_t> device_zeros;
};

double Act(Activation activation, double x) {
  return activation == Activation::kSilu ? x / (1 + std::exp(-x)) : x;
}

struct Extras {
  bool gated = false;
  bool gathered = false;  // rows of A by number
  int matrices = 1;       // more than one: each row its own
  bool epilogue = false;  // row_scale, bias, residual
};

template <class T>
void CheckShape(Checks& checks, const Shape& s, const Extras& extras,
                double bound) {
  const Matrices matrices(checks, s, extras.matrices);
  const int64_t stored = extras.gathered ? s.m + 3 : s.m;
  const int64_t lda = (s.k + 15) / 8 * 8;
  const auto a = checks.Random<bf16>(stored, lda, -1, 1);
  const int outputs = extras.gated ? s.n / 2 : s.n;
  const int64_t ldc = outputs + 4;
  const auto residual = checks.Random<T>(s.m, ldc, -1, 1);
  const auto row_scale = checks.Random<float>(extras.matrices, s.n, 0.5f, 1.5f);
  const auto bias = checks.Random<float>(extras.matrices, s.n, -1, 1);
  std::vector<int32_t> rows(s.m);
  std::vector<int32_t> numbers(s.m);
  for (int64_t r = 0; r < s.m; ++r) {
    rows[r] =
        static_cast<int32_t>(extras.gathered ? checks.random()() % stored : r);
    numbers[r] = static_cast<int32_t>(checks.random()() % extras.matrices);
  }
  const DeviceArray<int32_t> device_rows(rows);
  const DeviceArray<int32_t> device_numbers(numbers);

  DeviceArray<T> c(s.m * ldc);
  cuda::QuantizedGemmParams<T> p;
  p.a = a.device.data();
  p.lda = lda;
  p.a_rows = extras.gathered ? device_rows.data() : nullptr;
  p.m = s.m;
  p.b = matrices.View();
  p.matrices = extras.matrices > 1 ? device_numbers.data() : nullptr;
  p.activation = Activation::kSilu;
  p.gated = extras.gated;
  if (extras.epilogue) {
    p.row_scale = row_scale.device.data();
    p.bias = bias.device.data();
    p.residual = residual.device.data();
  }
  p.c = c.data();
  p.ldc = ldc;
  Require(cuda::QuantizedGemm(p, checks.stream()));
  const std::string name =
      std::string("int") + std::to_string(s.bits) + "/" +
      std::to_string(s.group_size) + (s.zeros ? " zeros " : " ") +
      TypeName<T>() + " " + std::to_string(s.m) + "x" + std::to_string(s.n) +
      "x" + std::to_string(s.k) + (extras.gated ? " gated" : "") +
      (extras.matrices > 1 ? " experts" : "");

  std::vector<double> expected(s.m * outputs);
  Parallel(s.m * outputs, [&](int64_t i) {
    const int64_t r = i / outputs;
    const int64_t out = i % outputs;
    const int64_t matrix = extras.matrices > 1 ? numbers[r] : 0;
    const auto product = [&](int64_t feature) {
      double sum = 0;
      for (int j = 0; j < s.k; ++j) {
        sum += a.at(rows[r], j) * matrices.Weight(matrix * s.n + feature, j);
      }
      if (!extras.epilogue) return sum;
      return sum * row_scale.at(matrix, feature) + bias.at(matrix, feature);
    };
    double value = 0;
    if (extras.gated) {
      const int64_t gate = out / 16 * 32 + out % 16;
      value = Act(Activation::kSilu, product(gate)) * product(gate + 16);
    } else {
      value = Act(Activation::kSilu, product(out));
    }
    if (extras.epilogue) value += residual.at(r, out);
    expected[i] = value;
  });
  checks.Compare(name, c, s.m, outputs, ldc, expected, bound);
  if (s.n >= 4096) {
    checks.Time(
        name,
        static_cast<double>(s.n) * (s.k * s.bits / 8.0 + 2.0 * matrices.groups),
        2.0 * s.m * s.n * s.k,
        [&] { Require(cuda::QuantizedGemm(p, checks.stream())); });
  }
}

void CheckDequantize(Checks& checks, const Shape& s) {
  const Matrices matrices(checks, s, 1);
  const int64_t ld = s.k + 3;
  DeviceArray<bf16> weights(s.n * ld);
  Require(
      cuda::Dequantize(matrices.View(), weights.data(), ld, checks.stream()));
  std::vector<double> expected;
  for (int r = 0; r < s.n; ++r) {
    for (int j = 0; j < s.k; ++j) expected.push_back(matrices.Weight(r, j));
  }
  checks.Compare("dequantize int" + std::to_string(s.bits), weights, s.n, s.k,
                 ld, expected, 3e-3);
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  for (const int bits : {8, 4}) {
    CheckShape<T>(checks, {bits, 32, false, 1, 17, 1}, {}, bound);
    CheckShape<T>(checks, {bits, 32, false, 1, 40, 100}, {}, bound);
    CheckShape<T>(checks, {bits, 64, true, 5, 33, 515}, {}, bound);
    CheckShape<T>(checks, {bits, 128, true, 12, 48, 1100},
                  {.gathered = true, .epilogue = true}, bound);
    CheckShape<T>(checks, {bits, 32, true, 37, 64, 288},
                  {.gated = true, .epilogue = true}, bound);
    CheckShape<T>(
        checks, {bits, 64, false, 6, 64, 192},
        {.gated = true, .gathered = true, .matrices = 4, .epilogue = true},
        bound);
    CheckShape<T>(checks, {bits, 32, true, 5, 24, 72}, {.matrices = 3}, bound);
    if (checks.small()) continue;
    for (const int64_t m : {1, 8, 32}) {
      CheckShape<T>(checks, {bits, 64, false, m, 49152, 4096}, {}, bound);
    }
  }
}

}  // namespace

void CheckQuantizedGemm(Checks& checks) {
  // The rounding of the weights to bf16 is in both.
  CheckOf<float>(checks, 4e-3);
  CheckOf<bf16>(checks, 6e-3);
  CheckDequantize(checks, {8, 32, true, 5, 71, 71});
  CheckDequantize(checks, {4, 64, false, 5, 130, 131});
}

}  // namespace braid::gpu_check
