#include "generation/layers/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/elementwise.h"

namespace braid::model {
namespace {

// The numbers of the `count` greatest values, greatest first.
void Best(const float* values, size_t size, size_t count,
          std::vector<uint32_t>* order) {
  order->resize(size);
  std::iota(order->begin(), order->end(), 0u);
  std::partial_sort(order->begin(), order->begin() + count, order->end(),
                    [values](uint32_t a, uint32_t b) {
                      return values[a] != values[b] ? values[a] > values[b]
                                                    : a < b;
                    });
}

}  // namespace

Router::Router(const RouterSpec& spec, WeightLoader& loader)
    : spec_(spec),
      experts_(spec.logits.out()),
      logits_(loader.LoadExact(spec.logits)),
      bias_(loader.Read(spec.correction_bias)) {}

void Router::Score(float* row) const {
  if (spec_.score == RouterSpec::Score::kSoftmax) {
    kernels::Softmax(row, experts_);
  } else if (spec_.score == RouterSpec::Score::kSigmoid) {
    kernels::Activate(kernels::Activation::kSigmoid, row, row, experts_);
  }
}

void Router::KeepBestGroups(float* selection) const {
  const size_t groups = spec_.groups;
  const size_t members = experts_ / groups;
  std::vector<float> sums(groups);
  std::vector<uint32_t> order;
  for (size_t g = 0; g < groups; ++g) {
    const float* group = selection + g * members;
    const size_t two = std::min<size_t>(2, members);
    Best(group, members, two, &order);
    for (size_t i = 0; i < two; ++i) sums[g] += group[order[i]];
  }
  Best(sums.data(), groups, spec_.top_groups, &order);
  for (size_t i = spec_.top_groups; i < groups; ++i) {
    float* group = selection + order[i] * members;
    std::fill(group, group + members, -std::numeric_limits<float>::infinity());
  }
}

std::vector<Router::Choice> Router::Route(const float* x, size_t rows,
                                          Workspace* workspace) const {
  const size_t top_k = spec_.top_k;
  float* scores = Workspace::Reserve(workspace->small, rows * experts_);
  logits_.Apply(x, logits_.in(), rows, scores, experts_, workspace->pool);

  std::vector<Choice> choices;
  choices.reserve(rows * top_k);
  std::vector<float> selection(experts_);
  std::vector<uint32_t> order;
  std::vector<float> weights(top_k);
  for (size_t r = 0; r < rows; ++r) {
    float* row = scores + r * experts_;
    Score(row);
    std::copy(row, row + experts_, selection.begin());
    for (size_t e = 0; e < bias_.size(); ++e) selection[e] += bias_[e];
    if (spec_.groups > 1) KeepBestGroups(selection.data());
    Best(selection.data(), experts_, top_k, &order);
    for (size_t k = 0; k < top_k; ++k) weights[k] = row[order[k]];
    if (spec_.score == RouterSpec::Score::kSoftmaxOfChosen) {
      kernels::Softmax(weights.data(), top_k);
    }
    float factor = static_cast<float>(spec_.scale);
    if (spec_.normalize) {
      factor /= std::accumulate(weights.begin(), weights.end(), 0.0f) +
                static_cast<float>(spec_.normalize_epsilon);
    }
    for (size_t k = 0; k < top_k; ++k) {
      choices.push_back(
          {order[k], static_cast<uint32_t>(r), weights[k] * factor});
    }
  }
  // A row's sum is then always taken in the same order: it does not depend on
  // the rows beside it.
  std::sort(choices.begin(), choices.end(),
            [](const Choice& a, const Choice& b) {
              return std::pair(a.expert, a.row) < std::pair(b.expert, b.row);
            });
  return choices;
}

}  // namespace braid::model
