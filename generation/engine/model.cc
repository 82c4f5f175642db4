#include "generation/engine/model.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/layers/weight_loader.h"
#include "kernels/aligned_vector.h"
#include "kernels/elementwise.h"

namespace braid::generation {
absl::StatusOr<std::unique_ptr<HybridModel>> HybridModel::Load(
    const std::string& directory, model::WeightType weights, int threads) {
  auto loaded = std::unique_ptr<HybridModel>(new HybridModel());
  absl::StatusOr<std::unique_ptr<model::Checkpoint>> checkpoint =
      model::Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  loaded->checkpoint_ = *std::move(checkpoint);
  absl::StatusOr<model::ModelSpec> spec =
      model::LoadModelSpec(directory, loaded->checkpoint_.get());
  if (!spec.ok()) return spec.status();
  loaded->spec_ = *std::move(spec);
  if (absl::Status status =
          model::CheckTensors(loaded->spec_, *loaded->checkpoint_);
      !status.ok()) {
    return status;
  }
  loaded->embedding_ =
      model::EmbeddingTable(*loaded->checkpoint_, loaded->spec_.quantization,
                            loaded->spec_.embedding);

  kernels::ThreadPool pool(threads);
  const absl::StatusOr<model::WeightLoader::Options> options =
      model::WeightLoader::Options::For(
          *loaded->checkpoint_, loaded->spec_.quantization, weights, &pool);
  if (!options.ok()) return options.status();
  model::WeightLoader loader(*loaded->checkpoint_, *options);
  for (const model::LayerSpec& layer_spec : loaded->spec_.layers) {
    std::vector<std::unique_ptr<model::Block>>& layer =
        loaded->layers_.emplace_back();
    for (const model::BlockSpec& block_spec : layer_spec.blocks) {
      auto block =
          model::Block::Load(block_spec, loaded->spec_.hidden,
                             loaded->spec_.residual_multiplier, loader);
      if (!block.ok()) return block.status();
      if ((*block)->has_side()) loaded->keeps_embedded_ = true;
      layer.push_back(*std::move(block));
    }
  }
  loaded->final_norm_ = loader.Load(loaded->spec_.final_norm);
  loaded->head_ = loader.Load(loaded->spec_.head);
  return loader.Finish(std::move(loaded));
}

SequenceState HybridModel::NewState(kernels::KvType kv) const {
  SequenceState state;
  for (const auto& layer : layers_) {
    for (const std::unique_ptr<model::Block>& block : layer) {
      block->AppendNewStates(kv, &state.operators);
    }
  }
  return state;
}

void HybridModel::Embed(absl::Span<const int32_t> ids, float* x) const {
  const size_t hidden = spec_.hidden;
  for (size_t r = 0; r < ids.size(); ++r) {
    embedding_.Read(ids[r], x + r * hidden);
  }
  kernels::Scale(static_cast<float>(spec_.embedding_multiplier), x, x,
                 ids.size() * hidden);
}

absl::Status HybridModel::Forward(absl::Span<const int32_t> ids,
                                  const ForwardOptions& options,
                                  SequenceState* state,
                                  model::Workspace* workspace,
                                  std::vector<float>* logits) const {
  if (ids.empty()) return absl::InvalidArgumentError("no tokens");
  for (const int32_t id : ids) {
    if (id < 0 || id >= spec_.vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat(
          "token ", id, " is outside the vocabulary of ", spec_.vocab_size));
    }
  }
  const size_t rows = ids.size();
  const size_t hidden = spec_.hidden;
  const size_t size = rows * hidden;
  model::Stream& stream = workspace->stream;
  stream.rows = rows;
  for (kernels::AlignedVector* buffer :
       {&stream.x, &stream.normed, &stream.out, &stream.branch}) {
    model::Workspace::Reserve(*buffer, size);
  }
  Embed(ids, stream.x.data());
  if (keeps_embedded_) {
    std::copy_n(stream.x.data(), size,
                model::Workspace::Reserve(stream.embedded, size));
  }

  if (options.layer_outputs != nullptr) options.layer_outputs->clear();
  model::OperatorState* states = state->operators.data();
  for (const auto& layer : layers_) {
    if (options.stop && options.stop()) {
      return absl::CancelledError("stopped between layers");
    }
    for (const std::unique_ptr<model::Block>& block : layer) {
      block->Forward(&stream, states, workspace);
      states += block->states();
    }
    if (options.layer_outputs != nullptr) {
      const float* last = stream.x.data() + size - hidden;
      options.layer_outputs->emplace_back(last, last + hidden);
    }
  }
  state->tokens += rows;

  if (options.logits == LogitsOf::kNothing) return absl::OkStatus();
  const size_t wanted = options.logits == LogitsOf::kAllTokens ? rows : 1;
  final_norm_.Apply(stream.x.data() + (rows - wanted) * hidden, hidden, wanted,
                    hidden, stream.normed.data(), hidden, workspace->pool);
  logits->resize(wanted * head_.out());
  head_.Apply(stream.normed.data(), hidden, wanted, logits->data(), head_.out(),
              workspace->pool);
  kernels::Scale(static_cast<float>(1.0 / spec_.logits_divisor), logits->data(),
                 logits->data(), logits->size());
  return absl::OkStatus();
}

}  // namespace braid::generation
