#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/cuda/router.h"
#include "tests/gpu/check.h"

namespace braid::gpu_check {
namespace {

namespace cuda = kernels::cuda;
using cuda::RouterScore;

struct Shape {
  int64_t rows;
  int experts;
  int top_k;
  RouterScore score;
  bool biased;
  int groups;
  int top_groups;
  bool normalize;
  bool ties;  // logits with few different values
};

// The first `count` of `numbers` by falling value, equal ones by number.
void SortBest(const std::vector<double>& values, size_t count,
              std::vector<int>* numbers) {
  std::partial_sort(numbers->begin(), numbers->begin() + count, numbers->end(),
                    [&](int a, int b) {
                      return values[a] != values[b] ? values[a] > values[b]
                                                    : a < b;
                    });
  numbers->resize(count);
}

void CheckShape(Checks& checks, const Shape& s) {
  const int64_t ld = s.experts + 1;
  auto logits = checks.Random<float>(s.rows, ld, -4, 4);
  if (s.ties) {
    for (float& value : logits.host) value = std::round(value);
    logits.device.Write(logits.host);
  }
  auto bias = checks.Random<float>(1, s.experts, -0.5f, 0.5f);
  if (s.ties) {
    for (float& value : bias.host) value = 0.0f;
    bias.device.Write(bias.host);
  }
  DeviceArray<int32_t> chosen(s.rows * s.top_k);
  DeviceArray<float> weights(s.rows * s.top_k);
  cuda::RouterParams p;
  p.logits = logits.device.data();
  p.ld = ld;
  p.rows = s.rows;
  p.experts = s.experts;
  p.score = s.score;
  p.top_k = s.top_k;
  p.correction_bias = s.biased ? bias.device.data() : nullptr;
  p.groups = s.groups;
  p.top_groups = s.top_groups;
  p.normalize = s.normalize;
  p.scale = 2.5f;
  p.chosen = chosen.data();
  p.weights = weights.data();
  Require(cuda::Route(p, checks.stream()));
  const std::string name =
      "router " + std::to_string(s.rows) + "x" + std::to_string(s.experts) +
      " top " + std::to_string(s.top_k) + " groups " + std::to_string(s.groups);

  const std::vector<int32_t> got = chosen.Read();
  std::vector<double> expected;
  int64_t different = 0;
  for (int64_t r = 0; r < s.rows; ++r) {
    std::vector<double> score(s.experts);
    double highest = -1e300;
    for (int e = 0; e < s.experts; ++e) {
      score[e] = logits.at(r, e);
      highest = std::max(highest, score[e]);
    }
    double sum = 0;
    for (double& value : score) {
      if (s.score == RouterScore::kSigmoid) value = 1 / (1 + std::exp(-value));
      if (s.score == RouterScore::kSoftmax) {
        sum += value = std::exp(value - highest);
      }
    }
    if (s.score == RouterScore::kSoftmax) {
      for (double& value : score) value /= sum;
    }
    std::vector<double> selection = score;
    for (int e = 0; e < s.experts; ++e) {
      if (s.biased) selection[e] += bias.at(0, e);
    }
    std::vector<int> allowed(s.experts);
    std::iota(allowed.begin(), allowed.end(), 0);
    if (s.groups > 1) {
      const int members = s.experts / s.groups;
      std::vector<double> of_group(s.groups);
      for (int g = 0; g < s.groups; ++g) {
        std::vector<double> values(selection.begin() + g * members,
                                   selection.begin() + (g + 1) * members);
        std::sort(values.rbegin(), values.rend());
        of_group[g] = values[0] + (members > 1 ? values[1] : 0);
      }
      std::vector<int> best(s.groups);
      std::iota(best.begin(), best.end(), 0);
      SortBest(of_group, s.top_groups, &best);
      allowed.clear();
      for (int e = 0; e < s.experts; ++e) {
        if (std::count(best.begin(), best.end(), e / members) > 0) {
          allowed.push_back(e);
        }
      }
    }
    SortBest(selection, s.top_k, &allowed);
    std::vector<double> row;
    for (int k = 0; k < s.top_k; ++k) {
      // Scores closer than f32 can tell may come in either order.
      const int32_t expert = got[r * s.top_k + k];
      const bool valid = expert >= 0 && expert < s.experts;
      if (!valid || (expert != allowed[k] &&
                     (s.ties || std::fabs(selection[expert] -
                                          selection[allowed[k]]) > 1e-6))) {
        ++different;
      }
      row.push_back(score[valid ? expert : 0]);
    }
    if (s.score == RouterScore::kSoftmaxOfChosen) {
      double total = 0;
      for (double& value : row) total += value = std::exp(value - highest);
      for (double& value : row) value /= total;
    }
    const double total = std::accumulate(row.begin(), row.end(), 0.0);
    for (const double value : row) {
      expected.push_back(2.5 * value / (s.normalize ? total : 1));
    }
  }
  checks.Expect(name + ": " + std::to_string(different) + " wrong experts",
                different == 0);
  checks.Compare(name + ", weights", weights, s.rows, s.top_k, s.top_k,
                 expected, 2e-6);
  if (s.rows > 1000) {
    checks.Time(name, 4.0 * s.rows * (s.experts + 2 * s.top_k), 0,
                [&] { Require(cuda::Route(p, checks.stream())); });
  }
}

// With logits that are not numbers, experts must still be some that exist.
void CheckNotNumbers(Checks& checks) {
  const std::vector<float> logits(3 * 40, NAN);
  const DeviceArray<float> device(logits);
  DeviceArray<int32_t> chosen(3 * 4);
  DeviceArray<float> weights(3 * 4);
  cuda::RouterParams p;
  p.logits = device.data();
  p.ld = 40;
  p.rows = 3;
  p.experts = 40;
  p.top_k = 4;
  p.groups = 4;
  p.top_groups = 2;
  p.chosen = chosen.data();
  p.weights = weights.data();
  Require(cuda::Route(p, checks.stream()));
  bool exist = true;
  for (const int32_t expert : chosen.Read()) {
    exist &= expert >= 0 && expert < 40;
  }
  checks.Expect("router: experts exist whatever the logits", exist);
}

}  // namespace

void CheckRouter(Checks& checks) {
  const auto softmax = RouterScore::kSoftmax;
  const auto chosen = RouterScore::kSoftmaxOfChosen;
  const auto sigmoid = RouterScore::kSigmoid;
  for (const Shape& s :
       {Shape{1, 1, 1, softmax, false, 1, 1, false, false},
        Shape{7, 8, 2, softmax, false, 1, 1, true, false},
        Shape{9, 40, 6, chosen, false, 1, 1, false, false},
        Shape{6, 64, 8, sigmoid, true, 8, 3, true, false},
        Shape{5, 128, 6, sigmoid, true, 1, 1, true, false},
        Shape{5, 96, 32, softmax, false, 4, 2, false, true},
        Shape{4, 512, 22, sigmoid, false, 1, 1, true, true},
        Shape{3, 1000, 10, softmax, true, 2, 1, true, false}}) {
    CheckShape(checks, s);
  }
  CheckNotNumbers(checks);
  if (checks.small()) return;
  CheckShape(checks, {32768, 512, 10, softmax, false, 1, 1, true, false});
}

}  // namespace braid::gpu_check
