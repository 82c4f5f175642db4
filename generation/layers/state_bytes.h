// The memory that a sequence will need, from the spec alone.
#ifndef BRAID_GENERATION_LAYERS_STATE_BYTES_H_
#define BRAID_GENERATION_LAYERS_STATE_BYTES_H_

#include <cstdint>

#include "generation/checkpoint/model_spec.h"
#include "kernels/kv_cache.h"

namespace braid::model {

// Known before the sequence starts: recurrent + kv_per_token * tokens, these
// rounded up to whole pages of the caches.
struct StateBytes {
  uint64_t recurrent = 0;  // convolution and recurrent states, whole sequence
  uint64_t kv_per_token = 0;  // keys and values of the attention layers
  uint64_t For(uint64_t tokens) const {
    const uint64_t page = kernels::kKvPageTokens;
    return recurrent + kv_per_token * ((tokens + page - 1) / page * page);
  }
  StateBytes& operator+=(const StateBytes& other) {
    recurrent += other.recurrent;
    kv_per_token += other.kv_per_token;
    return *this;
  }
};

StateBytes StateBytesOf(const OperatorSpec& spec, kernels::KvType kv);
StateBytes StateBytesOf(const BlockSpec& block, kernels::KvType kv);
StateBytes StateBytesOf(const ModelSpec& spec, kernels::KvType kv);

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_STATE_BYTES_H_
