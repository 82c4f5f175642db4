#include <cmath>

#include "kernels/cuda/selective_scan.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;

struct Shape {
  int sequences;
  int64_t tokens;
  int channels;
  int state_dim;
  bool slotted;
};

template <class T>
void CheckShape(Checks& checks, const Shape& s, bool compare, double bound) {
  const int64_t rows = s.sequences * s.tokens;
  const int64_t ld = s.channels + 8;
  const int64_t stride = int64_t{s.channels} * s.state_dim + 3;
  const int stored = s.slotted ? s.sequences + 1 : s.sequences;
  auto x = checks.Random<T>(rows, ld, -1, 1);
  const auto dt = checks.Random<float>(rows, s.channels, 0.001f, 0.3f);
  const auto b = checks.Random<T>(rows, s.state_dim + 2, -1, 1);
  const auto c = checks.Random<T>(rows, s.state_dim, -1, 1);
  const auto a = checks.Random<float>(s.channels, s.state_dim, -8, -0.01f);
  const auto d = checks.Random<float>(1, s.channels, -1, 1);
  auto state = checks.Random<float>(stored, stride, -1, 1);
  std::vector<int32_t> slots(s.sequences);
  for (int i = 0; i < s.sequences; ++i) {
    slots[i] = s.slotted ? stored - 1 - i : i;
  }
  const DeviceArray<int32_t> device_slots(slots);

  DeviceArray<T> y(rows * ld);
  cuda::SelectiveScanParams<T> p;
  p.sequences = s.sequences;
  p.tokens = s.tokens;
  p.channels = s.channels;
  p.state_dim = s.state_dim;
  p.x = x.device.data();
  p.ldx = ld;
  p.dt = dt.device.data();
  p.lddt = s.channels;
  p.b = b.device.data();
  p.ldb = b.ld;
  p.c = c.device.data();
  p.ldc = c.ld;
  p.a = a.device.data();
  p.d = d.device.data();
  p.state = state.device.data();
  p.state_stride = stride;
  p.slots = s.slotted ? device_slots.data() : nullptr;
  p.y = y.data();
  p.ldy = ld;
  Require(cuda::SelectiveScan(p, checks.stream()));
  const std::string name = std::string("selective scan ") + TypeName<T>() +
                           " " + std::to_string(s.sequences) + "x" +
                           std::to_string(s.tokens) + " tokens " +
                           std::to_string(s.channels) + "x" +
                           std::to_string(s.state_dim);
  if (compare) {
    std::vector<double> expected(rows * s.channels);
    std::vector<double> after(state.host.begin(), state.host.end());
    Parallel(s.channels, [&](int64_t channel) {
      for (int64_t row = 0; row < rows; ++row) {
        double* values = after.data() + slots[row / s.tokens] * stride +
                         channel * s.state_dim;
        const double step = dt.at(row, channel);
        double sum = d.at(0, channel) * x.at(row, channel);
        for (int n = 0; n < s.state_dim; ++n) {
          values[n] = std::exp(step * a.at(channel, n)) * values[n] +
                      step * b.at(row, n) * x.at(row, channel);
          sum += values[n] * c.at(row, n);
        }
        expected[row * s.channels + channel] = sum;
      }
    });
    checks.Compare(name, y, rows, s.channels, ld, expected, bound);
    checks.Compare(name + ", state", state.device, stored, stride, stride,
                   after, 1e-5);
    // In place.
    const auto apart = y.Read();
    state.device.Write(state.host);
    p.y = x.device.data();
    Require(cuda::SelectiveScan(p, checks.stream()));
    const auto in_place = x.device.Read();
    bool same = true;
    for (int64_t row = 0; row < rows; ++row) {
      for (int i = 0; i < s.channels; ++i) {
        same &= Widened(in_place[row * ld + i]) == Widened(apart[row * ld + i]);
      }
    }
    checks.Expect(name + ": in place", same);
  }
  if (s.channels >= 4096) {
    checks.Time(
        name,
        static_cast<double>(rows) *
                (s.channels * (2.0 * sizeof(T) + sizeof(float)) +
                 2.0 * s.state_dim * sizeof(T)) +
            2.0 * s.sequences * s.channels * s.state_dim * sizeof(float),
        0, [&] { Require(cuda::SelectiveScan(p, checks.stream())); });
  }
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  for (const Shape& s :
       {Shape{1, 1, 7, 3, false}, Shape{1, 33, 37, 5, false},
        Shape{3, 1, 40, 16, true}, Shape{2, 65, 32, 16, true},
        Shape{1, 31, 33, 30, false}, Shape{1, 40, 9, 64, false}}) {
    CheckShape<T>(checks, s, true, bound);
  }
  if (checks.small()) return;
  CheckShape<T>(checks, {1, 4096, 8192, 16, false}, true, bound);
  CheckShape<T>(checks, {64, 1, 8192, 16, true}, true, bound);
}

}  // namespace

void CheckSelectiveScan(Checks& checks) {
  CheckOf<float>(checks, 1e-5);
  CheckOf<bf16>(checks, 4e-3);
  if (checks.small()) return;
  for (const int64_t tokens : {32768, 131072}) {
    CheckShape<bf16>(checks, {1, tokens, 8192, 16, false}, false, 0);
  }
}

}  // namespace braid::gpu_check
