// The shape of an attention layer's cache.
#ifndef BRAID_GENERATION_LAYERS_KV_SHAPE_H_
#define BRAID_GENERATION_LAYERS_KV_SHAPE_H_

#include "generation/checkpoint/model_spec.h"
#include "kernels/kv_cache.h"

namespace braid::model {

inline kernels::KvShape ShapeOf(const AttentionSpec& spec,
                                kernels::KvType type) {
  return {.kv_heads = static_cast<size_t>(spec.kv_heads),
          .head_dim = static_cast<size_t>(spec.head_dim),
          .value_dim = static_cast<size_t>(spec.head_dim),
          .type = type};
}

// One row per token for all heads: the latent, which is also the value, and the
// shared part of the key.
inline kernels::KvShape ShapeOf(const MlaSpec& spec, kernels::KvType type) {
  return {.kv_heads = 1,
          .head_dim = static_cast<size_t>(spec.rank + spec.rope_dim),
          .value_dim = static_cast<size_t>(spec.rank),
          .values_in_keys = true,
          .type = type};
}

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_KV_SHAPE_H_
