// What one sequence carries through the model from token to token.
#ifndef BRAID_GENERATION_STATE_SEQUENCE_STATE_H_
#define BRAID_GENERATION_STATE_SEQUENCE_STATE_H_

#include <cstddef>
#include <vector>

#include "generation/layers/operator.h"

namespace braid::generation {

// Made by HybridModel::NewState, advanced by HybridModel::Forward. Movable, and
// copyable: a copy is a snapshot. Not thread-safe.
struct SequenceState {
  // One for each operator of the model, in the order in which they run.
  std::vector<model::OperatorState> operators;
  size_t tokens = 0;  // seen so far
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_STATE_SEQUENCE_STATE_H_
