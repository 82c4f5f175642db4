// The seam of text generation.
#ifndef BRAID_GENERATION_ENGINE_GENERATOR_H_
#define BRAID_GENERATION_ENGINE_GENERATOR_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "generation/checkpoint/weight_type.h"
#include "generation/engine/sampling.h"
#include "kernels/kv_type.h"

namespace braid::generation {

struct ChatTurn {
  std::string role;  // system, user, assistant
  std::string content;
};

struct GenerationRequest {
  // Raw text, or a conversation that goes through the model's chat template.
  std::variant<std::string, std::vector<ChatTurn>> input;
  uint32_t max_tokens = 256;
  SamplingParams sampling;
  std::chrono::steady_clock::time_point deadline =
      std::chrono::steady_clock::time_point::max();
};

struct GenerationResult {
  FinishReason finish_reason = FinishReason::kStop;
  uint32_t prompt_tokens = 0;
  uint32_t completion_tokens = 0;
};

// Receives whole UTF-8 characters; returns false to stop.
using TextSink = std::function<bool(absl::string_view delta)>;

// A loaded model. Thread-safe: requests beyond what runs at once wait, or get
// RESOURCE_EXHAUSTED when the queue is full.
class Generator {
 public:
  virtual ~Generator() = default;

  // Loads an HF checkpoint directory onto the CPU. `threads` is for one
  // request's arithmetic; its keys and values are kept as `kv` says, and the
  // model's matrices as `weights` says (see HybridModel::Load).
  static absl::StatusOr<std::unique_ptr<Generator>> Load(
      const std::string& directory, int threads, kernels::KvType kv,
      model::WeightType weights = model::WeightType::kStored);

  virtual const std::string& name() const = 0;
  // Longest prompt plus completion, in tokens.
  virtual size_t max_context_tokens() const = 0;
  virtual absl::StatusOr<size_t> CountTokens(absl::string_view text) const = 0;
  // INVALID_ARGUMENT if the prompt and max_tokens do not fit the context.
  // Cancellation and the deadline are checked between prefill chunks and
  // between tokens; they end generation with their finish_reason.
  virtual absl::StatusOr<GenerationResult> Generate(
      const GenerationRequest& request, const TextSink& sink,
      std::stop_token stop) = 0;
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ENGINE_GENERATOR_H_
