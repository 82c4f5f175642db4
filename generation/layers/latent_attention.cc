#include "generation/layers/latent_attention.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "generation/layers/kv_shape.h"
#include "generation/layers/rope.h"
#include "kernels/attention.h"

namespace braid::model {

LatentAttention::LatentAttention(const MlaSpec& spec, WeightLoader& loader)
    : spec_(spec),
      q_down_(loader.Load(spec.q_down)),
      q_norm_(loader.Load(spec.q_norm)),
      q_(loader.Load(spec.q)),
      kv_down_(loader.Load(spec.kv_down)),
      kv_norm_(loader.Load(spec.kv_norm)),
      out_(loader.Load(spec.out)) {
  const size_t rank = spec.rank;
  const size_t nope = spec.nope_dim;
  const size_t per_head = nope + spec.value_dim;
  const std::vector<float> up = loader.Matrix(spec.kv_up);
  if (!loader.status().ok()) return;
  std::vector<float> transposed(rank * nope);
  for (int64_t h = 0; h < spec.heads; ++h) {
    const float* keys = up.data() + h * per_head * rank;
    for (size_t i = 0; i < nope; ++i) {
      for (size_t j = 0; j < rank; ++j) {
        transposed[j * nope + i] = keys[i * rank + j];
      }
    }
    key_up_.push_back(Linear::FromWeights(transposed.data(), rank, nope));
    value_up_.push_back(
        Linear::FromWeights(keys + nope * rank, spec.value_dim, rank));
  }
}

absl::StatusOr<std::unique_ptr<LatentAttention>> LatentAttention::Load(
    const MlaSpec& spec, WeightLoader& loader) {
  return loader.Finish(
      std::unique_ptr<LatentAttention>(new LatentAttention(spec, loader)));
}

OperatorState LatentAttention::NewState(kernels::KvType kv) const {
  return kernels::KvCache(ShapeOf(spec_, kv));
}

const float* LatentAttention::Queries(const float* x, size_t rows,
                                      Workspace* workspace) const {
  float* q = Workspace::Reserve(workspace->projected, rows * q_.out());
  size_t width = q_.in();
  if (q_down_.has_value()) {
    float* low = Workspace::Reserve(workspace->small, rows * width);
    q_down_->Apply(x, q_down_->in(), rows, low, width, workspace->pool);
    q_norm_->Apply(low, width, rows, width, low, width, workspace->pool);
    x = low;
  }
  q_.Apply(x, width, rows, q, q_.out(), workspace->pool);
  return q;
}

void LatentAttention::Forward(const float* x, size_t rows, OperatorState* state,
                              float* out, Workspace* workspace) const {
  kernels::KvCache* cache = &std::get<kernels::KvCache>(*state);
  kernels::ThreadPool* pool = workspace->pool;
  const RopePairs pairs =
      spec_.rope_interleaved ? RopePairs::kAdjacent : RopePairs::kHalves;
  const size_t heads = spec_.heads;
  const size_t rank = spec_.rank;
  const size_t nope = spec_.nope_dim;
  const size_t rope = spec_.rope_dim;
  const size_t row = rank + rope;  // of the cache

  // The new tokens' rows of the cache: latent, then the shared part of the key.
  float* latent = Workspace::Reserve(workspace->gathered, rows * row);
  kv_down_.Apply(x, kv_down_.in(), rows, latent, row, pool);
  kv_norm_.Apply(latent, row, rows, rank, latent, row, pool);
  if (spec_.rope.has_value()) {
    ApplyRope(*spec_.rope, pairs, latent + rank, row, rows, 1, row,
              cache->tokens());
  }

  const float* q = Queries(x, rows, workspace);
  const size_t q_head = nope + rope;
  const size_t q_width = heads * q_head;
  const size_t wide = heads * row;  // queries against rows of the cache
  float* absorbed = Workspace::Reserve(workspace->mixed, rows * wide);
  for (size_t h = 0; h < heads; ++h) {
    key_up_[h].Apply(q + h * q_head, q_width, rows, absorbed + h * row, wide,
                     pool);
    for (size_t r = 0; r < rows; ++r) {
      const float* shared = q + r * q_width + h * q_head + nope;
      std::copy(shared, shared + rope, absorbed + r * wide + h * row + rank);
    }
  }
  if (spec_.rope.has_value()) {
    ApplyRope(*spec_.rope, pairs, absorbed + rank, wide, rows, heads, row,
              cache->tokens());
  }
  cache->Append(latent, row, nullptr, 0, rows);

  kernels::CachedAttentionParams params;
  params.q = absorbed;
  params.ldq = wide;
  params.m = rows;
  params.cache = cache;
  params.heads = heads;
  params.scale = static_cast<float>(spec_.scale);
  params.out = Workspace::Reserve(workspace->gathered, rows * heads * rank);
  params.ldo = heads * rank;
  kernels::CachedAttention(params, pool);

  const size_t value_width = heads * spec_.value_dim;
  float* values = Workspace::Reserve(workspace->projected, rows * value_width);
  for (size_t h = 0; h < heads; ++h) {
    value_up_[h].Apply(params.out + h * rank, params.ldo, rows,
                       values + h * spec_.value_dim, value_width, pool);
  }
  out_.Apply(values, value_width, rows, out, out_.out(), pool);
}

}  // namespace braid::model
