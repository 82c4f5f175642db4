#include <algorithm>
#include <cmath>

#include "kernels/cuda/ssd.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;
using cuda::SsdShape;

// Inputs of `tokens` tokens, and of as many sequences or of one.
template <class T>
struct Case {
  Case(Checks& checks, const SsdShape& s, int64_t tokens_, int sequences)
      : shape(s),
        tokens(tokens_),
        stride(s.state_floats() + 4),
        x(checks.Random<T>(tokens, s.heads * s.head_dim + 8, -1, 1)),
        b(checks.Random<T>(tokens, s.groups * s.state_dim + 8, -1, 1)),
        c(checks.Random<T>(tokens, s.groups * s.state_dim, -1, 1)),
        dt(checks.Random<float>(tokens, s.heads + 1, 0.001f, 0.3f)),
        a(checks.Random<float>(1, s.heads, -4, -0.01f)),
        d(checks.Random<float>(1, s.heads, -1, 1)),
        state(checks.Random<float>(sequences, stride, -1, 1)),
        y(tokens * ldy()) {}

  int64_t ldy() const { return int64_t{shape.heads} * shape.head_dim + 16; }
  cuda::SsdParams<T> Params() const {
    cuda::SsdParams<T> p;
    p.shape = shape;
    p.tokens = tokens;
    p.x = x.device.data();
    p.ldx = x.ld;
    p.b = b.device.data();
    p.ldb = b.ld;
    p.c = c.device.data();
    p.ldc = c.ld;
    p.dt = dt.device.data();
    p.lddt = dt.ld;
    p.a = a.device.data();
    p.d = d.device.data();
    p.state = state.device.data();
    p.state_stride = stride;
    p.y = y.data();
    p.ldy = ldy();
    return p;
  }

  // The recurrence of one head over rows [first, end) with the state of
  // `sequence`, in f64.
  void Recur(int head, int64_t first, int64_t end, int sequence,
             std::vector<double>* out, std::vector<double>* after) const {
    const int dim = shape.head_dim;
    const int n = shape.state_dim;
    const int group = head / (shape.heads / shape.groups);
    double* s = after->data() + sequence * stride + int64_t{head} * dim * n;
    for (int64_t t = first; t < end; ++t) {
      const double step = dt.at(t, head);
      const double decay = std::exp(step * a.at(0, head));
      for (int p = 0; p < dim; ++p) {
        const double input = x.at(t, int64_t{head} * dim + p);
        double sum = d.at(0, head) * input;
        for (int i = 0; i < n; ++i) {
          double& value = s[int64_t{p} * n + i];
          value =
              decay * value + step * input * b.at(t, int64_t{group} * n + i);
          sum += value * c.at(t, int64_t{group} * n + i);
        }
        (*out)[t * shape.heads * dim + int64_t{head} * dim + p] = sum;
      }
    }
  }

  SsdShape shape;
  int64_t tokens;
  int64_t stride;
  Input<T> x;
  Input<T> b;
  Input<T> c;
  Input<float> dt;
  Input<float> a;
  Input<float> d;
  Input<float> state;
  DeviceArray<T> y;
};

template <class T>
std::string Name(const char* what, const SsdShape& s, int64_t tokens) {
  return std::string(what) + " " + TypeName<T>() + " " +
         std::to_string(tokens) + " tokens " + std::to_string(s.heads) + "x" +
         std::to_string(s.head_dim) + "x" + std::to_string(s.state_dim) +
         " groups " + std::to_string(s.groups);
}

template <class T>
void CheckStep(Checks& checks, const SsdShape& s, int rows, bool slotted,
               double bound) {
  const int stored = slotted ? rows + 2 : rows;
  Case<T> data(checks, s, rows, stored);
  std::vector<int32_t> slots(rows);
  for (int r = 0; r < rows; ++r) slots[r] = slotted ? stored - 1 - r : r;
  const DeviceArray<int32_t> device_slots(slots);
  std::vector<double> expected(int64_t{rows} * s.heads * s.head_dim);
  std::vector<double> after(data.state.host.begin(), data.state.host.end());
  Parallel(s.heads, [&](int64_t head) {
    for (int r = 0; r < rows; ++r) {
      data.Recur(static_cast<int>(head), r, r + 1, slots[r], &expected, &after);
    }
  });
  cuda::SsdParams<T> p = data.Params();
  p.slots = slotted ? device_slots.data() : nullptr;
  Require(cuda::SsdStep(p, checks.stream()));
  const std::string name = Name<T>("ssd step", s, rows);
  checks.Compare(name, data.y, rows, int64_t{s.heads} * s.head_dim, data.ldy(),
                 expected, bound);
  checks.Compare(name + ", state", data.state.device, stored, data.stride,
                 data.stride, after, 1e-6);
  if (s.heads >= 64) {
    checks.Time(name, 2.0 * rows * s.state_floats() * sizeof(float), 0,
                [&] { Require(cuda::SsdStep(p, checks.stream())); });
  }
}

template <class T>
void CheckScan(Checks& checks, const SsdShape& s, int64_t tokens,
               double bound) {
  Case<T> data(checks, s, tokens, 1);
  std::vector<double> expected(tokens * s.heads * s.head_dim);
  std::vector<double> after(data.state.host.begin(), data.state.host.end());
  Parallel(s.heads, [&](int64_t head) {
    data.Recur(static_cast<int>(head), 0, tokens, 0, &expected, &after);
  });
  const DeviceArray<uint8_t> workspace(cuda::SsdScanWorkspaceBytes(s));
  const cuda::SsdParams<T> p = data.Params();
  Require(cuda::SsdScan(p, workspace.data(), checks.stream()));
  const std::string name = Name<T>("ssd scan", s, tokens);
  checks.Compare(name, data.y, tokens, int64_t{s.heads} * s.head_dim,
                 data.ldy(), expected, bound);
  checks.Compare(name + ", state", data.state.device, 1, data.stride,
                 data.stride, after, bound);
  const auto first = data.y.Read();
  data.y.Poison();
  data.state.device.Write(data.state.host);
  Require(cuda::SsdScan(p, workspace.data(), checks.stream()));
  checks.ExpectSame(name, first, data.y.Read());
}

// The time at a length whose result is not compared: the same kernels as above.
template <class T>
void TimeScan(Checks& checks, const SsdShape& s, int64_t tokens) {
  if (checks.small()) return;
  const Case<T> data(checks, s, tokens, 1);
  const DeviceArray<uint8_t> workspace(cuda::SsdScanWorkspaceBytes(s));
  const cuda::SsdParams<T> p = data.Params();
  const double wide = static_cast<double>(s.heads) * s.head_dim;
  const double bytes =
      tokens * (2.0 * wide + 2.0 * s.groups * s.state_dim) * sizeof(T);
  // Inside chunks (half of the square), into and out of the state.
  const double operations =
      tokens * (wide * (cuda::kSsdScanChunk + 4.0 * s.state_dim) +
                1.0 * s.groups * s.state_dim * cuda::kSsdScanChunk);
  checks.Time(Name<T>("ssd scan", s, tokens), bytes, operations, [&] {
    Require(cuda::SsdScan(p, workspace.data(), checks.stream()));
  });
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  CheckStep<T>(checks, {1, 3, 1, 1}, 1, false, bound);
  CheckStep<T>(checks, {4, 5, 7, 2}, 3, true, bound);
  CheckStep<T>(checks, {2, 33, 36, 1}, 2, false, bound);
  CheckStep<T>(checks, {6, 16, 132, 3}, 2, true, bound);
  CheckScan<T>(checks, {1, 3, 5, 1}, 1, bound);
  CheckScan<T>(checks, {4, 5, 7, 2}, 70, bound);
  CheckScan<T>(checks, {2, 64, 16, 1}, 257, bound);
  CheckScan<T>(checks, {2, 72, 136, 2}, 300, bound);
  // More than one pass over the workspace.
  CheckScan<T>(checks, {1, 8, 8, 1}, 16 * 256 + 3, bound);
  if (checks.small()) return;
  CheckStep<T>(checks, {64, 64, 128, 8}, 1, false, bound);
  CheckStep<T>(checks, {64, 64, 128, 8}, 64, true, bound);
  CheckScan<T>(checks, {64, 64, 128, 8}, 4096, bound);
}

}  // namespace

void CheckSsd(Checks& checks) {
  CheckOf<float>(checks, 2e-5);
  CheckOf<bf16>(checks, 1e-2);
  for (const int64_t tokens : {4096, 32768, 131072}) {
    TimeScan<bf16>(checks, {64, 64, 128, 8}, tokens);
  }
}

}  // namespace braid::gpu_check
