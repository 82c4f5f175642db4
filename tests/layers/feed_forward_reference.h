// Feed-forward layers as their definitions say: see reference.h.
#ifndef BRAID_TESTS_LAYERS_FEED_FORWARD_REFERENCE_H_
#define BRAID_TESTS_LAYERS_FEED_FORWARD_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "generation/checkpoint/model_spec.h"
#include "tests/layers/reference.h"

namespace braid::model::reference {

inline Rows Mlp(const Weights& weights, const MlpSpec& spec, const Rows& x) {
  const Rows up = Linear(weights, spec.up, x);
  Rows inner;
  for (const Row& row : up) {
    Row values(spec.intermediate);
    for (int64_t i = 0; i < spec.intermediate; ++i) {
      values[i] = Activate(spec.activation, row[i]);
      if (spec.gated) values[i] *= row[spec.intermediate + i];
    }
    inner.push_back(std::move(values));
  }
  Rows y = Linear(weights, spec.down, inner);
  if (!spec.output_gate.has_value()) return y;
  const Rows gate = Linear(weights, *spec.output_gate, x);
  for (size_t r = 0; r < x.size(); ++r) {
    for (double& value : y[r]) value *= Sigmoid(gate[r][0]);
  }
  return y;
}

// The weight of every expert for one token; zero for those not chosen.
inline Row Route(const Weights& weights, const RouterSpec& spec,
                 const Row& logits) {
  const size_t experts = logits.size();
  using Score = RouterSpec::Score;
  Row scores(experts);
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  for (size_t e = 0; e < experts; ++e) {
    scores[e] = spec.score == Score::kSigmoid   ? Sigmoid(logits[e])
                : spec.score == Score::kSoftmax ? std::exp(logits[e]) / sum
                                                : std::exp(logits[e]);
  }
  Row selection = scores;
  if (spec.correction_bias.has_value()) {
    for (size_t e = 0; e < experts; ++e) {
      selection[e] += At(weights, *spec.correction_bias, e);
    }
  }
  const auto by_value = [](const Row& values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return values[a] > values[b]; });
    return order;
  };
  if (spec.groups > 1) {
    const size_t members = experts / spec.groups;
    Row of_group;
    for (int64_t g = 0; g < spec.groups; ++g) {
      Row group(selection.begin() + g * members,
                selection.begin() + (g + 1) * members);
      std::sort(group.rbegin(), group.rend());
      of_group.push_back(group[0] + (members > 1 ? group[1] : 0));
    }
    const std::vector<size_t> order = by_value(of_group);
    for (size_t i = spec.top_groups; i < order.size(); ++i) {
      for (size_t m = 0; m < members; ++m) {
        selection[order[i] * members + m] = -INFINITY;
      }
    }
  }
  const std::vector<size_t> order = by_value(selection);
  double chosen = 0;
  for (int64_t k = 0; k < spec.top_k; ++k) chosen += scores[order[k]];
  const bool normalize =
      spec.normalize || spec.score == Score::kSoftmaxOfChosen;
  Row result(experts);
  for (int64_t k = 0; k < spec.top_k; ++k) {
    result[order[k]] = spec.scale * scores[order[k]] / (normalize ? chosen : 1);
  }
  return result;
}

inline Rows Moe(const Weights& weights, const MoeSpec& spec, const Rows& x) {
  const Rows logits = Linear(weights, spec.router.logits, x);
  const Rows input =
      spec.latent_down.has_value() ? Linear(weights, *spec.latent_down, x) : x;
  std::vector<Rows> of_expert;
  for (const MlpSpec& expert : spec.experts) {
    of_expert.push_back(Mlp(weights, expert, input));
  }
  Rows sum(x.size(), Row(input[0].size()));
  for (size_t r = 0; r < x.size(); ++r) {
    const Row weight = Route(weights, spec.router, logits[r]);
    for (size_t e = 0; e < weight.size(); ++e) {
      for (size_t i = 0; i < sum[r].size(); ++i) {
        sum[r][i] += weight[e] * of_expert[e][r][i];
      }
    }
  }
  return spec.latent_up.has_value() ? Linear(weights, *spec.latent_up, sum)
                                    : sum;
}

}  // namespace braid::model::reference

#endif  // BRAID_TESTS_LAYERS_FEED_FORWARD_REFERENCE_H_
