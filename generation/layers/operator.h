// What the blocks of a model are made of: operators from [rows, hidden] to
// [rows, hidden], some of which carry a state from token to token.
#ifndef BRAID_GENERATION_LAYERS_OPERATOR_H_
#define BRAID_GENERATION_LAYERS_OPERATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/layers/weight_loader.h"
#include "generation/layers/workspace.h"
#include "kernels/aligned_vector.h"
#include "kernels/kv_cache.h"

namespace braid::model {

// Constant in size.
struct RecurrentState {
  kernels::AlignedVector conv;       // [kernel - 1, channels], oldest first
  kernels::AlignedVector recurrent;  // as the operator's kernel lays it out
  std::vector<uint32_t> angles;      // as 2^-32 of a turn
  size_t tokens = 0;                 // that it has seen
};

// Of operators without memory: monostate. Copyable: a copy is a snapshot.
using OperatorState =
    std::variant<std::monostate, kernels::KvCache, RecurrentState>;

// Immutable after loading; shared between threads.
class Operator {
 public:
  virtual ~Operator() = default;

  // The state before the first token. Keys and values will be kept as `kv`
  // says; recurrent states are in f32.
  virtual OperatorState NewState(kernels::KvType kv) const {
    static_cast<void>(kv);
    return std::monostate();
  }

  // The next `rows` tokens of the sequence whose past is in `state`: x and out
  // are [rows, hidden] and do not overlap. A sequence cut into calls at any
  // places gives the same bits.
  virtual void Forward(const float* x, size_t rows, OperatorState* state,
                       float* out, Workspace* workspace) const = 0;
};

// Errors as in WeightLoader.
absl::StatusOr<std::unique_ptr<Operator>> LoadOperator(const OperatorSpec& spec,
                                                       WeightLoader& loader);

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_OPERATOR_H_
