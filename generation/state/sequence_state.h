// What one sequence carries through the model from token to token.
#ifndef BRAID_GENERATION_STATE_SEQUENCE_STATE_H_
#define BRAID_GENERATION_STATE_SEQUENCE_STATE_H_

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "generation/layers/attention.h"
#include "generation/layers/mamba2.h"

namespace braid::generation {

using LayerState = std::variant<model::KvCache, model::Mamba2State>;

// Made by HybridModel::NewState, advanced by HybridModel::Forward, one entry
// for each layer. Movable, and copyable: a copy is a snapshot. Not thread-safe.
struct SequenceState {
  std::vector<LayerState> layers;
  size_t tokens = 0;  // seen so far
};

// The memory of a sequence is known before it starts:
// recurrent + kv_per_token * tokens.
struct StateBytes {
  uint64_t recurrent = 0;  // convolution and recurrent states, whole sequence
  uint64_t kv_per_token = 0;  // keys and values of the attention layers
  uint64_t For(uint64_t tokens) const {
    return recurrent + kv_per_token * tokens;
  }
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_STATE_SEQUENCE_STATE_H_
