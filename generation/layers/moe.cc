#include "generation/layers/moe.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "generation/layers/parallel_rows.h"
#include "kernels/elementwise.h"

namespace braid::model {
namespace {

// Rows of experts that are computed at once: enough to share out, while their
// outputs stay in the caches.
constexpr size_t kBatchRows = 512;
// Columns that a thread adds up at a time.
constexpr size_t kColumns = 256;

}  // namespace

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
  std::vector<uint32_t> row_of(choices.size());
  for (size_t i = 0; i < choices.size(); ++i) row_of[i] = choices[i].row;
  std::vector<Mlp::Call> calls;
  for (size_t begin = 0; begin < choices.size();) {
    // As many whole experts as fit the batch, but at least one.
    calls.clear();
    size_t end = begin;
    while (end < choices.size() && (end == begin || end - begin < kBatchRows)) {
      const size_t first = end;
      const uint32_t expert = choices[first].expert;
      while (end < choices.size() && choices[end].expert == expert) ++end;
      calls.push_back({.mlp = experts_[expert].get(),
                       .x = x,
                       .row_of = row_of.data() + first,
                       .rows = end - first,
                       .out = nullptr});
    }
    float* output = Workspace::Reserve(workspace->outer, (end - begin) * width);
    size_t done = 0;
    for (Mlp::Call& call : calls) {
      call.out = output + done * width;
      done += call.rows;
    }
    Mlp::ForwardAll(calls, workspace);
    // By columns: a row's sum is taken in the order of its experts.
    const size_t columns = (width + kColumns - 1) / kColumns;
    ParallelRows(workspace->pool, columns, (end - begin) * kColumns,
                 [&](size_t c) {
                   const size_t at = c * kColumns;
                   const size_t count = std::min(kColumns, width - at);
                   for (size_t i = begin; i < end; ++i) {
                     kernels::AddScaled(choices[i].weight,
                                        output + (i - begin) * width + at,
                                        out + row_of[i] * width + at, count);
                   }
                 });
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
