// A loaded model: tokens in, logits out.
#ifndef BRAID_GENERATION_ENGINE_MODEL_H_
#define BRAID_GENERATION_ENGINE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/embedding_table.h"
#include "generation/checkpoint/model_spec.h"
#include "generation/checkpoint/weight_type.h"
#include "generation/layers/block.h"
#include "generation/layers/linear.h"
#include "generation/layers/rms_norm.h"
#include "generation/layers/state_bytes.h"
#include "generation/layers/workspace.h"
#include "generation/state/sequence_state.h"

namespace braid::generation {

enum class LogitsOf { kNothing, kLastToken, kAllTokens };

struct ForwardOptions {
  LogitsOf logits = LogitsOf::kLastToken;
  // If not null, receives the residual stream after each layer at the last
  // token, [layers][hidden].
  std::vector<std::vector<float>>* layer_outputs = nullptr;
  // Asked before each layer; true ends the call with CANCELLED, and the state
  // is of no further use. May be empty.
  std::function<bool()> stop;
};

// Weights on the CPU, in f32 or in 8 or 4 bits. Immutable after loading:
// several threads may call Forward at once, each with its own state and
// workspace.
class HybridModel {
 public:
  // Reads config.json and the weights. Errors as in LoadModelSpec,
  // Checkpoint::Open and CheckTensors; nothing is allocated before all shapes
  // have been checked. Takes seconds per GB.
  // Matrices are kept as `weights` says; to quantise them, `threads` compute.
  // INVALID_ARGUMENT if they are stored in another quantised type.
  static absl::StatusOr<std::unique_ptr<HybridModel>> Load(
      const std::string& directory,
      model::WeightType weights = model::WeightType::kStored, int threads = 1);

  const model::ModelSpec& spec() const { return spec_; }
  // What a sequence takes whose keys and values are kept as `kv` says.
  model::StateBytes state_bytes(kernels::KvType kv) const {
    return model::StateBytesOf(spec_, kv);
  }

  // The state before the first token.
  SequenceState NewState(kernels::KvType kv) const;

  // Runs the next `ids` of the sequence. `logits` receives [1 or ids.size(),
  // vocab] as the options say. A sequence cut into calls at any places gives
  // the same logits, bit for bit, with any number of threads. INVALID_ARGUMENT
  // for an id outside the vocabulary.
  absl::Status Forward(absl::Span<const int32_t> ids,
                       const ForwardOptions& options, SequenceState* state,
                       model::Workspace* workspace,
                       std::vector<float>* logits) const;

 private:
  HybridModel() = default;
  // The tokens' rows of the embedding, as the first layer sees them.
  void Embed(absl::Span<const int32_t> ids, float* x) const;

  model::ModelSpec spec_;
  // Kept open: rows of the embedding are widened as they are looked up.
  std::unique_ptr<model::Checkpoint> checkpoint_;
  model::EmbeddingTable embedding_;
  std::vector<std::vector<std::unique_ptr<model::Block>>> layers_;
  bool keeps_embedded_ = false;  // some block asks for the embeddings
  model::RmsNorm final_norm_;
  model::Linear head_;
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_MODEL_H_
