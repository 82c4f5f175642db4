#include "generation/layers/block.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "generation/layers/parallel_rows.h"
#include "kernels/elementwise.h"

namespace braid::model {

absl::StatusOr<std::unique_ptr<Block>> Block::Load(const BlockSpec& spec,
                                                   size_t hidden,
                                                   double residual_multiplier,
                                                   WeightLoader& loader) {
  auto block = std::unique_ptr<Block>(new Block());
  block->hidden_ = hidden;
  block->residual_multiplier_ = static_cast<float>(residual_multiplier);
  block->pre_norm_ = loader.Load(spec.pre_norm);
  block->post_norm_ = loader.Load(spec.post_norm);
  if (spec.side.has_value()) {
    auto side = SidePath::Load(*spec.side, loader);
    if (!side.ok()) return side.status();
    block->side_ = *std::move(side);
  }
  for (const OperatorSpec& branch : spec.branches) {
    auto loaded = LoadOperator(branch, loader);
    if (!loaded.ok()) return loaded.status();
    block->branches_.push_back(*std::move(loaded));
  }
  return loader.Finish(std::move(block));
}

void Block::AppendNewStates(kernels::KvType kv,
                            std::vector<OperatorState>* states) const {
  if (side_ != nullptr) states->push_back(side_->NewState(kv));
  for (const std::unique_ptr<Operator>& branch : branches_) {
    states->push_back(branch->NewState(kv));
  }
}

void Block::Forward(Stream* stream, OperatorState* states,
                    Workspace* workspace) const {
  const size_t rows = stream->rows;
  const size_t size = rows * hidden_;
  const float* input = stream->x.data();
  if (side_ != nullptr) {
    side_->Forward(input, stream->embedded.data(), rows, states++,
                   stream->normed.data(), workspace);
    kernels::AddScaled(1.0f, input, stream->normed.data(), size);
    input = stream->normed.data();
  }
  if (pre_norm_.has_value()) {
    pre_norm_->Apply(input, hidden_, rows, hidden_, stream->normed.data(),
                     hidden_, workspace->pool);
    input = stream->normed.data();
  }
  float* out = stream->out.data();
  for (size_t i = 0; i < branches_.size(); ++i) {
    float* target = i == 0 ? out : stream->branch.data();
    branches_[i]->Forward(input, rows, states + i, target, workspace);
    if (i > 0) kernels::AddScaled(1.0f, target, out, size);
  }
  if (post_norm_.has_value()) {
    post_norm_->Apply(out, hidden_, rows, hidden_, out, hidden_,
                      workspace->pool);
  }
  ParallelRows(workspace->pool, rows, hidden_, [&](size_t r) {
    kernels::AddScaled(residual_multiplier_, out + r * hidden_,
                       stream->x.data() + r * hidden_, hidden_);
  });
}

}  // namespace braid::model
