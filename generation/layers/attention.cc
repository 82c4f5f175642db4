#include "generation/layers/attention.h"

#include <memory>
#include <utility>

#include "generation/layers/kv_shape.h"
#include "generation/layers/rope.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"

namespace braid::model {

Attention::Attention(const AttentionSpec& spec, WeightLoader& loader)
    : spec_(spec),
      qkv_(loader.Load(spec.qkv)),
      q_norm_(loader.Load(spec.q_norm)),
      k_norm_(loader.Load(spec.k_norm)),
      out_(loader.Load(spec.out)) {}

absl::StatusOr<std::unique_ptr<Attention>> Attention::Load(
    const AttentionSpec& spec, WeightLoader& loader) {
  return loader.Finish(std::unique_ptr<Attention>(new Attention(spec, loader)));
}

OperatorState Attention::NewState(kernels::KvType kv) const {
  return kernels::KvCache(ShapeOf(spec_, kv));
}

void Attention::Forward(const float* x, size_t rows, OperatorState* state,
                        float* out, Workspace* workspace) const {
  kernels::KvCache* cache = &std::get<kernels::KvCache>(*state);
  const size_t q_width = spec_.q_width();
  const size_t kv_width = spec_.kv_width();
  const size_t width = qkv_.out();
  // Columns: queries, keys, values, and gates if there are any.
  float* q = Workspace::Reserve(workspace->projected, rows * width);
  float* k = q + q_width;
  qkv_.Apply(x, qkv_.in(), rows, q, width, workspace->pool);
  if (q_norm_.has_value()) {
    q_norm_->Apply(q, width, rows, q_width, q, width, workspace->pool);
  }
  if (k_norm_.has_value()) {
    k_norm_->Apply(k, width, rows, kv_width, k, width, workspace->pool);
  }
  if (spec_.rope.has_value()) {
    ApplyRope(*spec_.rope, RopePairs::kHalves, q, width, rows, spec_.heads,
              spec_.head_dim, cache->tokens());
    ApplyRope(*spec_.rope, RopePairs::kHalves, k, width, rows, spec_.kv_heads,
              spec_.head_dim, cache->tokens());
  }
  cache->Append(k, width, k + kv_width, width, rows);

  kernels::CachedAttentionParams params;
  params.q = q;
  params.ldq = width;
  params.m = rows;
  params.cache = cache;
  params.heads = spec_.heads;
  params.scale = static_cast<float>(spec_.scale);
  params.out = Workspace::Reserve(workspace->mixed, rows * q_width);
  params.ldo = q_width;
  kernels::CachedAttention(params, workspace->pool);
  if (spec_.output_gate) {
    for (size_t r = 0; r < rows; ++r) {
      float* row = params.out + r * q_width;
      kernels::GatedActivation(kernels::Activation::kSigmoid,
                               q + r * width + q_width + 2 * kv_width, row, row,
                               q_width);
    }
  }
  out_.Apply(params.out, q_width, rows, out, out_.out(), workspace->pool);
}

}  // namespace braid::model
