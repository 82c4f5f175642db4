#include "generation/layers/side_path.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace braid::model {

SidePath::SidePath(const SidePathSpec& spec, WeightLoader& loader)
    : norm_(loader.Load(spec.norm)), mlp_norm_(loader.Load(spec.mlp_norm)) {
  // The loader keeps the error of whatever fails.
  auto attention = Attention::Load(spec.attention, loader);
  if (attention.ok()) attention_ = *std::move(attention);
  auto mlp = Mlp::Load(spec.mlp, loader);
  if (mlp.ok()) mlp_ = *std::move(mlp);
  out_ = loader.Load(spec.out);
}

absl::StatusOr<std::unique_ptr<SidePath>> SidePath::Load(
    const SidePathSpec& spec, WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<SidePath>(new SidePath(spec, loader)));
}

void SidePath::Forward(const float* x, const float* embedded, size_t rows,
                       OperatorState* state, float* out,
                       Workspace* workspace) const {
  const size_t hidden = out_.out();
  const size_t both = 2 * hidden;
  float* input = Workspace::Reserve(workspace->outer, rows * both);
  for (size_t r = 0; r < rows; ++r) {
    std::copy(x + r * hidden, x + (r + 1) * hidden, input + r * both);
    std::copy(embedded + r * hidden, embedded + (r + 1) * hidden,
              input + r * both + hidden);
  }
  norm_.Apply(input, both, rows, both, input, both, workspace->pool);
  float* middle = Workspace::Reserve(workspace->latent, rows * hidden);
  attention_->Forward(input, rows, state, middle, workspace);
  mlp_norm_.Apply(middle, hidden, rows, hidden, middle, hidden,
                  workspace->pool);
  mlp_->Forward(middle, rows, nullptr, input, workspace);
  out_.Apply(input, hidden, rows, out, hidden, workspace->pool);
}

}  // namespace braid::model
