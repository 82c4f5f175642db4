#include "generation/layers/moe.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/elementwise.h"

namespace braid::model {

Moe::Moe(const MoeSpec& spec, WeightLoader& loader)
    : router_(spec.router, loader),
      latent_down_(loader.Load(spec.latent_down)),
      latent_up_(loader.Load(spec.latent_up)) {
  experts_.reserve(spec.experts.size());
  for (const MlpSpec& expert : spec.experts) {
    absl::StatusOr<std::unique_ptr<Mlp>> loaded = Mlp::Load(expert, loader);
    if (!loaded.ok()) return;  // the loader keeps the error
    experts_.push_back(*std::move(loaded));
  }
}

absl::StatusOr<std::unique_ptr<Moe>> Moe::Load(const MoeSpec& spec,
                                               WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Moe>(new Moe(spec, loader)));
}

void Moe::AddExperts(const float* x, size_t rows, size_t width,
                     const std::vector<Router::Choice>& choices, float* out,
                     Workspace* workspace) const {
  std::fill(out, out + rows * width, 0.0f);
  for (size_t begin = 0; begin < choices.size();) {
    size_t end = begin;
    while (end < choices.size() &&
           choices[end].expert == choices[begin].expert) {
      ++end;
    }
    const size_t count = end - begin;
    float* input = Workspace::Reserve(workspace->outer, 2 * count * width);
    float* output = input + count * width;
    for (size_t i = 0; i < count; ++i) {
      const float* row = x + choices[begin + i].row * width;
      std::copy(row, row + width, input + i * width);
    }
    experts_[choices[begin].expert]->Forward(input, count, output, workspace);
    for (size_t i = 0; i < count; ++i) {
      kernels::AddScaled(choices[begin + i].weight, output + i * width,
                         out + choices[begin + i].row * width, width);
    }
    begin = end;
  }
}

void Moe::Forward(const float* x, size_t rows, OperatorState*, float* out,
                  Workspace* workspace) const {
  const std::vector<Router::Choice> choices = router_.Route(x, rows, workspace);
  if (!latent_down_.has_value()) {
    const size_t hidden = router_.hidden();
    AddExperts(x, rows, hidden, choices, out, workspace);
    return;
  }
  const size_t width = latent_down_->out();
  float* narrow = Workspace::Reserve(workspace->latent, 2 * rows * width);
  float* sum = narrow + rows * width;
  latent_down_->Apply(x, latent_down_->in(), rows, narrow, width,
                      workspace->pool);
  AddExperts(narrow, rows, width, choices, sum, workspace);
  latent_up_->Apply(sum, width, rows, out, latent_up_->out(), workspace->pool);
}

}  // namespace braid::model
