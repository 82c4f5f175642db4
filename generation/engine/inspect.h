// What a checkpoint is and what it will cost, without loading its weights.
#ifndef BRAID_GENERATION_ENGINE_INSPECT_H_
#define BRAID_GENERATION_ENGINE_INSPECT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/checkpoint/weight_type.h"
#include "kernels/kv_type.h"

namespace braid::generation {

// What a sequence needs at a length, beside the weights.
struct ContextCost {
  uint64_t tokens = 0;
  uint64_t state_bytes = 0;  // recurrent states, keys and values
  // The same if every mixer were attention, as in a transformer of this width:
  // with the keys and values of this model's attention layers, or of the full
  // width where it has none.
  uint64_t transformer_bytes = 0;
};

struct ModelReport {
  std::string model_type;
  uint32_t layers = 0;
  // How many of each there are: attention, latent_attention, mamba1, mamba2,
  // delta_net, short_conv, mlp, moe, shared_transformer.
  std::map<std::string, uint32_t> operators;
  uint64_t hidden = 0;
  uint64_t vocab_size = 0;
  uint64_t max_context_tokens = 0;
  std::string weights;      // type of the matrices once loaded: f32, int8, int4
  uint64_t parameters = 0;  // stored once where tied
  // Multiplied for each token: without the experts that it does not visit, and
  // without an embedding that is not the head as well.
  uint64_t active_parameters = 0;
  // Of these, multiplied only where logits are wanted: at the end of a prompt,
  // and for each generated token.
  uint64_t head_parameters = 0;
  uint64_t checkpoint_bytes = 0;       // of the tensors on disk
  uint64_t weight_bytes = 0;           // once loaded
  uint64_t active_weight_bytes = 0;    // of these, read for each token
  uint64_t recurrent_state_bytes = 0;  // of each sequence
  uint64_t kv_bytes_per_token = 0;     // of each sequence
  std::vector<ContextCost> contexts;   // 4K, 32K, 128K and 1M tokens
};

// Reads config.json and the headers of the weights, and checks that they agree.
// Keys and values count as `kv` says, and matrices as `weights` says.
// Errors as in HybridModel::Load.
absl::StatusOr<ModelReport> InspectCheckpoint(
    const std::string& directory, kernels::KvType kv,
    model::WeightType weights = model::WeightType::kStored);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_INSPECT_H_
