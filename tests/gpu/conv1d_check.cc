#include <algorithm>
#include <cmath>

#include "kernels/cuda/conv1d.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;

struct Shape {
  int sequences;
  int64_t tokens;
  int channels;
  int kernel;
  bool slots;
};

template <class T>
void CheckShape(Checks& checks, const Shape& s, double bound) {
  const int64_t rows = s.sequences * s.tokens;
  const int64_t ld = s.channels + 8;
  const int history = s.kernel - 1;
  const int64_t stride = int64_t{history} * s.channels + 5;
  const int stored = s.slots ? s.sequences + 3 : s.sequences;
  const auto x = checks.Random<T>(rows, ld, -1, 1);
  const auto taps = checks.Random<float>(s.kernel, s.channels, -1, 1);
  const auto bias = checks.Random<float>(1, s.channels, -1, 1);
  const auto state = checks.Random<float>(stored, stride, -1, 1);
  std::vector<int32_t> slots(s.sequences);
  for (int i = 0; i < s.sequences; ++i) {
    slots[i] = s.slots ? stored - 1 - i : i;
  }
  const DeviceArray<int32_t> device_slots(slots);

  std::vector<double> expected(rows * s.channels);
  std::vector<double> expected_state(state.host.begin(), state.host.end());
  for (int q = 0; q < s.sequences; ++q) {
    const int64_t at = slots[q] * stride;
    for (int c = 0; c < s.channels; ++c) {
      // The state, then the inputs.
      std::vector<double> in;
      for (int j = 0; j < history; ++j) {
        in.push_back(state.host[at + int64_t{j} * s.channels + c]);
      }
      for (int64_t t = 0; t < s.tokens; ++t) {
        in.push_back(x.at(q * s.tokens + t, c));
      }
      for (int64_t t = 0; t < s.tokens; ++t) {
        double sum = bias.at(0, c);
        for (int j = 0; j < s.kernel; ++j) sum += taps.at(j, c) * in[t + j];
        expected[(q * s.tokens + t) * s.channels + c] =
            sum / (1 + std::exp(-sum));
      }
      for (int j = 0; j < history; ++j) {
        expected_state[at + int64_t{j} * s.channels + c] = in[s.tokens + j];
      }
    }
  }

  DeviceArray<T> out(rows * ld);
  cuda::CausalConv1dParams<T> p;
  p.x = x.device.data();
  p.ldx = ld;
  p.sequences = s.sequences;
  p.tokens = s.tokens;
  p.channels = s.channels;
  p.kernel = s.kernel;
  p.taps = taps.device.data();
  p.bias = bias.device.data();
  p.state = state.device.data();
  p.state_stride = stride;
  p.slots = s.slots ? device_slots.data() : nullptr;
  p.activation = kernels::Activation::kSilu;
  p.out = out.data();
  p.ldo = ld;
  Require(cuda::CausalConv1d(p, checks.stream()));
  const std::string name =
      std::string("conv1d ") + TypeName<T>() + " " +
      std::to_string(s.sequences) + "x" + std::to_string(s.tokens) + "x" +
      std::to_string(s.channels) + " taps " + std::to_string(s.kernel);
  checks.Compare(name, out, rows, s.channels, ld, expected, bound);
  checks.Compare(name + " state", state.device, stored, stride, stride,
                 expected_state, 1e-7);
  if (rows > 1000) {
    checks.Time(name, 2.0 * rows * s.channels * sizeof(T), 0,
                [&] { Require(cuda::CausalConv1d(p, checks.stream())); });
  }
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  for (const Shape& s : {Shape{1, 1, 1, 4, false}, Shape{1, 70, 13, 4, false},
                         Shape{2, 33, 24, 3, true}, Shape{5, 1, 40, 4, true},
                         Shape{1, 2, 8, 4, false}, Shape{1, 32, 16, 2, false},
                         Shape{2, 5, 10, 7, false}, Shape{1, 40, 8, 16, false},
                         Shape{1, 9, 6, 1, false}}) {
    CheckShape<T>(checks, s, bound);
  }
  if (checks.small()) return;
  CheckShape<T>(checks, {1, 16384, 6144, 4, false}, bound);
  CheckShape<T>(checks, {64, 1, 6144, 4, true}, bound);
}

}  // namespace

void CheckConv1d(Checks& checks) {
  CheckOf<float>(checks, 2e-6);
  CheckOf<bf16>(checks, 4e-3);
}

}  // namespace braid::gpu_check
