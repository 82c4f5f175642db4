#include "generation/engine/inspect.h"

#include <memory>
#include <string>
#include <variant>

#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"

namespace braid::generation {
namespace {

uint64_t Elements(const model::TensorSpec& tensor) {
  uint64_t elements = 1;
  for (const int64_t dim : tensor.shape) elements *= dim;
  return elements;
}

}  // namespace

absl::StatusOr<ModelReport> InspectCheckpoint(const std::string& directory) {
  absl::StatusOr<model::ModelSpec> spec = model::LoadModelSpec(directory);
  if (!spec.ok()) return spec.status();
  auto checkpoint = model::Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  // From here on the sizes are those of tensors that exist.
  if (absl::Status status = model::CheckTensors(*spec, **checkpoint);
      !status.ok()) {
    return status;
  }
  ModelReport report;
  report.model_type = spec->model_type;
  report.layers = spec->layers.size();
  report.hidden = spec->hidden;
  report.vocab_size = spec->vocab_size;
  report.max_context_tokens = spec->max_context_tokens;
  for (const model::TensorSpec& tensor : model::AllTensors(*spec)) {
    report.parameters += Elements(tensor);
    report.checkpoint_bytes += (*checkpoint)->Find(tensor.name)->bytes;
  }
  report.active_parameters = report.parameters;
  report.weight_bytes = report.parameters * sizeof(float);
  for (const model::LayerSpec& layer : spec->layers) {
    if (const auto* mamba = std::get_if<model::Mamba2Spec>(&layer.mixer)) {
      ++report.mamba2_layers;
      report.recurrent_state_bytes +=
          sizeof(float) * ((mamba->conv_kernel - 1) * mamba->conv_channels() +
                           mamba->inner() * mamba->state_dim);
    } else {
      const auto& attention = std::get<model::AttentionSpec>(layer.mixer);
      ++report.attention_layers;
      report.kv_bytes_per_token +=
          2 * sizeof(float) * attention.kv_heads * attention.head_dim;
    }
    if (layer.moe.has_value()) {
      ++report.moe_layers;
      const uint64_t of_one_expert =
          (Elements(layer.moe->gate_up) + Elements(layer.moe->down)) /
          layer.moe->experts;
      report.active_parameters -=
          of_one_expert * (layer.moe->experts - layer.moe->top_k);
    }
  }
  return report;
}

}  // namespace braid::generation
