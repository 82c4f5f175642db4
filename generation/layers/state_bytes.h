// The memory that a sequence will need, from the spec alone.
#ifndef BRAID_GENERATION_LAYERS_STATE_BYTES_H_
#define BRAID_GENERATION_LAYERS_STATE_BYTES_H_

#include <cstdint>

#include "generation/checkpoint/model_spec.h"

namespace braid::model {

// Known before the sequence starts: recurrent + kv_per_token * tokens.
struct StateBytes {
  uint64_t recurrent = 0;  // convolution and recurrent states, whole sequence
  uint64_t kv_per_token = 0;  // keys and values of the attention layers
  uint64_t For(uint64_t tokens) const {
    return recurrent + kv_per_token * tokens;
  }
  StateBytes& operator+=(const StateBytes& other) {
    recurrent += other.recurrent;
    kv_per_token += other.kv_per_token;
    return *this;
  }
};

StateBytes StateBytesOf(const OperatorSpec& spec);
StateBytes StateBytesOf(const BlockSpec& block);
StateBytes StateBytesOf(const ModelSpec& spec);

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_STATE_BYTES_H_
