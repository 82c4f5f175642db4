#include "generation/layers/feed_forward.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/elementwise.h"

namespace braid::model {
namespace {

// One expert's slice of a tensor [experts, rows, columns], widened.
absl::StatusOr<Linear> LoadSlice(const TensorSpec& spec, int64_t expert,
                                 const Checkpoint& checkpoint,
                                 std::vector<float>* scratch) {
  const TensorView* view = checkpoint.Find(spec.name);
  if (view == nullptr || view->shape != spec.shape ||
      view->dtype == DType::kOther) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.directory(), ": tensor \"", spec.name,
                     "\" is missing, misshapen or not of a float type"));
  }
  const int64_t count = spec.shape[1] * spec.shape[2];
  const int64_t bytes = view->dtype == DType::kF32 ? 4 : 2;
  scratch->resize(count);
  WidenToF32(view->dtype, view->data + expert * count * bytes, count,
             scratch->data());
  return Linear::FromWeights(scratch->data(), spec.shape[1], spec.shape[2]);
}

}  // namespace

Mlp::Mlp(Linear gate_up, Linear down)
    : gate_up_(std::move(gate_up)), down_(std::move(down)) {}

absl::StatusOr<std::unique_ptr<Mlp>> Mlp::Load(const MlpSpec& spec,
                                               const Checkpoint& checkpoint) {
  absl::StatusOr<Linear> gate_up = Linear::Load(spec.gate_up, checkpoint);
  if (!gate_up.ok()) return gate_up.status();
  absl::StatusOr<Linear> down = Linear::Load(spec.down, checkpoint);
  if (!down.ok()) return down.status();
  return std::make_unique<Mlp>(*std::move(gate_up), *std::move(down));
}

void Mlp::Forward(const float* x, size_t rows, float* out,
                  Workspace* workspace) const {
  const size_t inner = down_.in();
  float* both = Workspace::Reserve(workspace->projected, rows * 2 * inner);
  gate_up_.Apply(x, gate_up_.in(), rows, both, 2 * inner, workspace->pool);
  float* product = Workspace::Reserve(workspace->mixed, rows * inner);
  for (size_t r = 0; r < rows; ++r) {
    const float* row = both + r * 2 * inner;
    kernels::SiluMul(row, row + inner, product + r * inner, inner);
  }
  down_.Apply(product, inner, rows, out, down_.out(), workspace->pool);
}

absl::StatusOr<std::unique_ptr<Moe>> Moe::Load(const MoeSpec& spec,
                                               const Checkpoint& checkpoint) {
  auto moe = std::unique_ptr<Moe>(new Moe());
  moe->hidden_ = spec.router.in;
  moe->top_k_ = spec.top_k;
  absl::StatusOr<Linear> router = Linear::Load(spec.router, checkpoint);
  if (!router.ok()) return router.status();
  moe->router_ = *std::move(router);
  std::vector<float> scratch;
  moe->experts_.reserve(spec.experts);
  for (int64_t e = 0; e < spec.experts; ++e) {
    absl::StatusOr<Linear> gate_up =
        LoadSlice(spec.gate_up, e, checkpoint, &scratch);
    if (!gate_up.ok()) return gate_up.status();
    absl::StatusOr<Linear> down = LoadSlice(spec.down, e, checkpoint, &scratch);
    if (!down.ok()) return down.status();
    moe->experts_.emplace_back(*std::move(gate_up), *std::move(down));
  }
  return moe;
}

void Moe::AddForward(const float* x, size_t rows, float* out,
                     Workspace* workspace) const {
  const size_t experts = experts_.size();
  float* logits = Workspace::Reserve(workspace->small, rows * experts);
  router_.Apply(x, hidden_, rows, logits, experts, workspace->pool);

  struct Choice {
    uint32_t expert;
    uint32_t row;
    float weight;
  };
  std::vector<Choice> choices;
  choices.reserve(rows * top_k_);
  std::vector<uint32_t> order(experts);
  std::vector<float> weights(top_k_);
  for (size_t r = 0; r < rows; ++r) {
    const float* row = logits + r * experts;
    std::iota(order.begin(), order.end(), 0u);
    std::partial_sort(order.begin(), order.begin() + top_k_, order.end(),
                      [row](uint32_t a, uint32_t b) {
                        return row[a] != row[b] ? row[a] > row[b] : a < b;
                      });
    for (size_t k = 0; k < top_k_; ++k) weights[k] = row[order[k]];
    kernels::Softmax(weights.data(), top_k_);
    for (size_t k = 0; k < top_k_; ++k) {
      choices.push_back({order[k], static_cast<uint32_t>(r), weights[k]});
    }
  }
  // By expert, then by row: a row's sum is always taken in the same order, so
  // it does not depend on the rows beside it.
  std::sort(choices.begin(), choices.end(),
            [](const Choice& a, const Choice& b) {
              return std::pair(a.expert, a.row) < std::pair(b.expert, b.row);
            });
  for (size_t begin = 0; begin < choices.size();) {
    size_t end = begin;
    while (end < choices.size() &&
           choices[end].expert == choices[begin].expert) {
      ++end;
    }
    const size_t count = end - begin;
    float* input = Workspace::Reserve(workspace->gathered, 2 * count * hidden_);
    float* output = input + count * hidden_;
    for (size_t i = 0; i < count; ++i) {
      const float* row = x + choices[begin + i].row * hidden_;
      std::copy(row, row + hidden_, input + i * hidden_);
    }
    experts_[choices[begin].expert].Forward(input, count, output, workspace);
    for (size_t i = 0; i < count; ++i) {
      kernels::AddScaled(choices[begin + i].weight, output + i * hidden_,
                         out + choices[begin + i].row * hidden_, hidden_);
    }
    begin = end;
  }
}

}  // namespace braid::model
