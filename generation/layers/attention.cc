#include "generation/layers/attention.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/attention.h"

namespace braid::model {

Attention::Attention(const AttentionSpec& spec)
    : heads_(spec.heads),
      kv_heads_(spec.kv_heads),
      head_dim_(spec.head_dim),
      kv_width_(spec.kv_heads * spec.head_dim),
      scale_(static_cast<float>(spec.scale)) {
  if (!spec.rope.has_value()) return;
  // In f32 like the reference: the angles of far positions depend on it.
  const float theta = static_cast<float>(spec.rope->theta);
  const float dims = static_cast<float>(spec.rope->dims);
  for (int64_t i = 0; i < spec.rope->dims / 2; ++i) {
    inverse_frequencies_.push_back(
        1.0f / std::pow(theta, static_cast<float>(2 * i) / dims));
  }
}

absl::StatusOr<std::unique_ptr<Attention>> Attention::Load(
    const AttentionSpec& spec, const Checkpoint& checkpoint) {
  auto attention = std::unique_ptr<Attention>(new Attention(spec));
  absl::StatusOr<Linear> qkv = Linear::Load(spec.qkv, checkpoint);
  if (!qkv.ok()) return qkv.status();
  absl::StatusOr<Linear> out = Linear::Load(spec.out, checkpoint);
  if (!out.ok()) return out.status();
  attention->qkv_ = *std::move(qkv);
  attention->out_ = *std::move(out);
  return attention;
}

void Attention::Reserve(size_t tokens, KvCache* cache) const {
  cache->keys.reserve(tokens * kv_width_);
  cache->values.reserve(tokens * kv_width_);
}

void Attention::Rotate(float* x, size_t ld, size_t rows, size_t heads,
                       size_t position) const {
  const size_t half = inverse_frequencies_.size();
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < half; ++i) {
      const float angle =
          static_cast<float>(position + r) * inverse_frequencies_[i];
      const float cosine = std::cos(angle);
      const float sine = std::sin(angle);
      for (size_t h = 0; h < heads; ++h) {
        float* head = x + r * ld + h * head_dim_;
        const float first = head[i];
        const float second = head[i + half];
        head[i] = first * cosine - second * sine;
        head[i + half] = second * cosine + first * sine;
      }
    }
  }
}

void Attention::Forward(const float* x, size_t rows, KvCache* cache, float* out,
                        Workspace* workspace) const {
  const size_t q_width = heads_ * head_dim_;
  const size_t width = qkv_.out();
  float* qkv = Workspace::Reserve(workspace->projected, rows * width);
  qkv_.Apply(x, qkv_.in(), rows, qkv, width, workspace->pool);
  if (!inverse_frequencies_.empty()) {
    Rotate(qkv, width, rows, heads_, cache->tokens);
    Rotate(qkv + q_width, width, rows, kv_heads_, cache->tokens);
  }
  for (size_t r = 0; r < rows; ++r) {
    const float* key = qkv + r * width + q_width;
    const float* value = key + kv_width_;
    cache->keys.insert(cache->keys.end(), key, key + kv_width_);
    cache->values.insert(cache->values.end(), value, value + kv_width_);
  }
  cache->tokens += rows;

  kernels::CachedAttentionParams params;
  params.q = qkv;
  params.ldq = width;
  params.m = rows;
  params.k_cache = cache->keys.data();
  params.v_cache = cache->values.data();
  params.ldkv = kv_width_;
  params.t = cache->tokens;
  params.heads = heads_;
  params.kv_heads = kv_heads_;
  params.head_dim = head_dim_;
  params.scale = scale_;
  params.out = Workspace::Reserve(workspace->mixed, rows * q_width);
  params.ldo = q_width;
  kernels::CachedAttention(params, workspace->pool);
  out_.Apply(params.out, q_width, rows, out, out_.out(), workspace->pool);
}

}  // namespace braid::model
