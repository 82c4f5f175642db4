#include <cmath>

#include "kernels/cuda/delta_rule.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;
using cuda::DeltaRuleShape;

template <class T>
struct Case {
  Case(Checks& checks, const DeltaRuleShape& s, int sequences_, int64_t tokens_,
       float strongest)
      : shape(s),
        sequences(sequences_),
        tokens(tokens_),
        rows(sequences * tokens),
        stride(s.state_floats() + 4),
        q(checks.Random<T>(rows, s.key_heads * s.key_dim + 8, -1, 1)),
        k(Keys(checks)),
        v(checks.Random<T>(rows, s.value_heads * s.value_dim + 8, -1, 1)),
        g(checks.Random<float>(rows, Decays(), -strongest, 0)),
        beta(checks.Random<float>(rows, s.value_heads + 3, 0, 1)),
        state(checks.Random<float>(sequences, stride, -1, 1)),
        y(rows * v.ld) {}

  int64_t Decays() const {
    return int64_t{shape.value_heads} *
           (shape.decay_per_key_channel ? shape.key_dim : 1);
  }
  // Keys of norm about 1.
  Input<T> Keys(Checks& checks) const {
    const float bound = std::sqrt(3.0f / shape.key_dim) * 0.9f;
    return checks.Random<T>(rows, shape.key_heads * shape.key_dim + 8, -bound,
                            bound);
  }
  cuda::DeltaRuleParams<T> Params() const {
    cuda::DeltaRuleParams<T> p;
    p.shape = shape;
    p.sequences = sequences;
    p.tokens = tokens;
    p.q = q.device.data();
    p.ldq = q.ld;
    p.k = k.device.data();
    p.ldk = k.ld;
    p.v = v.device.data();
    p.ldv = v.ld;
    p.g = g.device.data();
    p.ldg = g.ld;
    p.beta = beta.device.data();
    p.ldbeta = beta.ld;
    p.state = state.device.data();
    p.state_stride = stride;
    p.y = y.data();
    p.ldy = v.ld;
    return p;
  }

  void Recur(int sequence, int head, std::vector<double>* out,
             std::vector<double>* after) const {
    const int key_dim = shape.key_dim;
    const int value_dim = shape.value_dim;
    const int64_t key_at =
        int64_t{head / (shape.value_heads / shape.key_heads)} * key_dim;
    const int64_t value_at = int64_t{head} * value_dim;
    double* s =
        after->data() + sequence * stride + int64_t{head} * key_dim * value_dim;
    std::vector<double> read(value_dim);
    for (int64_t row = sequence * tokens; row < (sequence + 1) * tokens;
         ++row) {
      std::fill(read.begin(), read.end(), 0.0);
      for (int i = 0; i < key_dim; ++i) {
        const double decay = std::exp(
            g.at(row, shape.decay_per_key_channel ? int64_t{head} * key_dim + i
                                                  : head));
        for (int j = 0; j < value_dim; ++j) {
          s[i * value_dim + j] *= decay;
          read[j] += s[i * value_dim + j] * k.at(row, key_at + i);
        }
      }
      std::vector<double> result(value_dim);
      for (int i = 0; i < key_dim; ++i) {
        for (int j = 0; j < value_dim; ++j) {
          s[i * value_dim + j] += k.at(row, key_at + i) * beta.at(row, head) *
                                  (v.at(row, value_at + j) - read[j]);
          result[j] += s[i * value_dim + j] * q.at(row, key_at + i);
        }
      }
      for (int j = 0; j < value_dim; ++j) {
        (*out)[row * shape.value_heads * value_dim + value_at + j] = result[j];
      }
    }
  }

  DeltaRuleShape shape;
  int sequences;
  int64_t tokens;
  int64_t rows;
  int64_t stride;
  Input<T> q;
  Input<T> k;
  Input<T> v;
  Input<float> g;
  Input<float> beta;
  Input<float> state;
  DeviceArray<T> y;
};

template <class T>
std::string Name(const char* what, const DeltaRuleShape& s, int sequences,
                 int64_t tokens) {
  return std::string(what) + " " + TypeName<T>() + " " +
         std::to_string(sequences) + "x" + std::to_string(tokens) + " tokens " +
         std::to_string(s.key_heads) + "/" + std::to_string(s.value_heads) +
         " heads " + std::to_string(s.key_dim) + "x" +
         std::to_string(s.value_dim) +
         (s.decay_per_key_channel ? " by channel" : "");
}

enum class Form { kStep, kScan };

template <class T>
void CheckForm(Checks& checks, Form form, const DeltaRuleShape& s,
               int sequences, int64_t tokens, double bound,
               float strongest = 0.2f) {
  Case<T> data(checks, s, sequences, tokens, strongest);
  std::vector<double> expected(data.rows * s.value_heads * s.value_dim);
  std::vector<double> after(data.state.host.begin(), data.state.host.end());
  Parallel(int64_t{s.value_heads} * sequences, [&](int64_t i) {
    data.Recur(static_cast<int>(i / s.value_heads),
               static_cast<int>(i % s.value_heads), &expected, &after);
  });
  const DeviceArray<uint8_t> workspace(cuda::DeltaRuleScanWorkspaceBytes<T>(s));
  cuda::DeltaRuleParams<T> p = data.Params();
  const auto run = [&] {
    Require(form == Form::kStep
                ? cuda::DeltaRuleStep(p, checks.stream())
                : cuda::DeltaRuleScan(p, workspace.data(), checks.stream()));
  };
  run();
  const std::string name =
      Name<T>(form == Form::kStep ? "delta rule step" : "delta rule scan", s,
              sequences, tokens);
  checks.Compare(name, data.y, data.rows, int64_t{s.value_heads} * s.value_dim,
                 data.v.ld, expected, bound);
  checks.Compare(name + ", state", data.state.device, sequences, data.stride,
                 data.stride, after, form == Form::kStep ? 1e-5 : bound);
  const auto apart = data.y.Read();
  data.state.device.Write(data.state.host);
  // In place of v, and so a second time.
  p.y = data.v.device.data();
  run();
  const auto in_place = data.v.device.Read();
  bool same = true;
  const int64_t width = int64_t{s.value_heads} * s.value_dim;
  for (int64_t i = 0; i < data.rows * data.v.ld; ++i) {
    same &= i % data.v.ld >= width || Widened(in_place[i]) == Widened(apart[i]);
  }
  checks.Expect(name + ": in place, the same bits", same);
  if (form == Form::kStep && s.value_heads >= 32) {
    data.v.device.Write(std::vector<T>(data.v.device.size(), Rounded<T>(0.5f)));
    checks.Time(name, 2.0 * sequences * s.state_floats() * sizeof(float), 0,
                run);
  }
}

template <class T>
void TimeScan(Checks& checks, const DeltaRuleShape& s, int64_t tokens) {
  if (checks.small()) return;
  const Case<T> data(checks, s, 1, tokens, 0.2f);
  const DeviceArray<uint8_t> workspace(cuda::DeltaRuleScanWorkspaceBytes<T>(s));
  const cuda::DeltaRuleParams<T> p = data.Params();
  const double keys = static_cast<double>(s.key_heads) * s.key_dim;
  const double values = static_cast<double>(s.value_heads) * s.value_dim;
  const double chunk = cuda::kDeltaScanChunk;
  // A and P, W and U, P N, and three products with the state.
  const double operations =
      tokens * s.value_heads *
      (4 * chunk * s.key_dim + 2 * chunk * (s.key_dim + 2 * s.value_dim) +
       6.0 * s.key_dim * s.value_dim);
  checks.Time(
      Name<T>("delta rule scan", s, 1, tokens),
      tokens * (2 * keys + 2 * values) * sizeof(T), operations, [&] {
        Require(cuda::DeltaRuleScan(p, workspace.data(), checks.stream()));
      });
}

template <class T>
void CheckOf(Checks& checks, double bound) {
  for (const bool by_channel : {false, true}) {
    CheckForm<T>(checks, Form::kStep, {1, 2, 3, 5, by_channel}, 1, 4, bound);
    CheckForm<T>(checks, Form::kStep, {2, 4, 24, 40, by_channel}, 2, 3, bound);
    CheckForm<T>(checks, Form::kStep, {1, 2, 100, 33, by_channel}, 1, 5, bound);
    CheckForm<T>(checks, Form::kStep, {1, 1, 192, 16, by_channel}, 1, 2, bound);
    CheckForm<T>(checks, Form::kScan, {1, 2, 16, 8, by_channel}, 1, 70, bound);
  }
  CheckForm<T>(checks, Form::kScan, {1, 2, 3, 5, false}, 1, 4, bound);
  CheckForm<T>(checks, Form::kScan, {2, 4, 24, 40, false}, 1, 130, bound);
  CheckForm<T>(checks, Form::kScan, {1, 2, 128, 72, false}, 1, 200, bound);
  CheckForm<T>(checks, Form::kScan, {1, 1, 100, 33, false}, 1, 65, bound);
  // Decays so strong that nothing is left of most tokens.
  CheckForm<T>(checks, Form::kScan, {1, 1, 16, 16, false}, 1, 100, bound, 60);
  // More than one pass over the workspace.
  CheckForm<T>(checks, Form::kScan, {1, 1, 16, 8, false}, 1, 32 * 64 + 5,
               bound);
  if (checks.small()) return;
  CheckForm<T>(checks, Form::kStep, {16, 32, 128, 128, false}, 1, 1, bound);
  CheckForm<T>(checks, Form::kStep, {16, 32, 128, 128, false}, 64, 1, bound);
  CheckForm<T>(checks, Form::kScan, {16, 32, 128, 128, false}, 1, 4096, bound);
}

}  // namespace

void CheckDeltaRule(Checks& checks) {
  CheckOf<float>(checks, 2e-5);
  CheckOf<bf16>(checks, 1.5e-2);
  for (const int64_t tokens : {4096, 32768, 131072}) {
    TimeScan<bf16>(checks, {16, 32, 128, 128, false}, tokens);
  }
}

}  // namespace braid::gpu_check
