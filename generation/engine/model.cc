#include "generation/engine/model.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"

namespace braid::generation {
namespace {

using model::Attention;
using model::Checkpoint;
using model::Mamba2;
using model::ModelSpec;

}  // namespace

absl::StatusOr<HybridModel::Norm> HybridModel::LoadNorm(
    const model::RmsNormSpec& spec) const {
  absl::StatusOr<std::vector<float>> weight =
      checkpoint_->ReadF32(spec.weight.name, spec.weight.shape);
  if (!weight.ok()) return weight.status();
  return Norm{*std::move(weight), static_cast<float>(spec.epsilon)};
}

absl::Status HybridModel::LoadLayer(const model::LayerSpec& spec,
                                    Layer* layer) const {
  absl::StatusOr<Norm> mixer_norm = LoadNorm(spec.mixer_norm);
  if (!mixer_norm.ok()) return mixer_norm.status();
  layer->mixer_norm = *std::move(mixer_norm);
  if (const auto* attention = std::get_if<model::AttentionSpec>(&spec.mixer)) {
    auto mixer = Attention::Load(*attention, *checkpoint_);
    if (!mixer.ok()) return mixer.status();
    layer->mixer = *std::move(mixer);
  } else {
    auto mixer =
        Mamba2::Load(std::get<model::Mamba2Spec>(spec.mixer), *checkpoint_);
    if (!mixer.ok()) return mixer.status();
    layer->mixer = *std::move(mixer);
  }
  absl::StatusOr<Norm> ffn_norm = LoadNorm(spec.ffn_norm);
  if (!ffn_norm.ok()) return ffn_norm.status();
  layer->ffn_norm = *std::move(ffn_norm);
  if (spec.mlp.has_value()) {
    auto mlp = model::Mlp::Load(*spec.mlp, *checkpoint_);
    if (!mlp.ok()) return mlp.status();
    layer->mlp = *std::move(mlp);
  }
  if (spec.moe.has_value()) {
    auto moe = model::Moe::Load(*spec.moe, *checkpoint_);
    if (!moe.ok()) return moe.status();
    layer->moe = *std::move(moe);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<HybridModel>> HybridModel::Load(
    const std::string& directory) {
  auto loaded = std::unique_ptr<HybridModel>(new HybridModel());
  absl::StatusOr<ModelSpec> spec = model::LoadModelSpec(directory);
  if (!spec.ok()) return spec.status();
  loaded->spec_ = *std::move(spec);
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  loaded->checkpoint_ = *std::move(checkpoint);
  if (absl::Status status =
          model::CheckTensors(loaded->spec_, *loaded->checkpoint_);
      !status.ok()) {
    return status;
  }
  loaded->embedding_ = loaded->checkpoint_->Find(loaded->spec_.embedding.name);
  for (const model::LayerSpec& layer_spec : loaded->spec_.layers) {
    Layer layer;
    if (absl::Status status = loaded->LoadLayer(layer_spec, &layer);
        !status.ok()) {
      return status;
    }
    if (const auto* attention =
            std::get_if<std::unique_ptr<Attention>>(&layer.mixer)) {
      loaded->state_bytes_.kv_per_token += (*attention)->kv_bytes_per_token();
    } else {
      loaded->state_bytes_.recurrent +=
          std::get<std::unique_ptr<Mamba2>>(layer.mixer)->state_bytes();
    }
    loaded->layers_.push_back(std::move(layer));
  }
  absl::StatusOr<Norm> final_norm = loaded->LoadNorm(loaded->spec_.final_norm);
  if (!final_norm.ok()) return final_norm.status();
  loaded->final_norm_ = *std::move(final_norm);
  absl::StatusOr<model::Linear> head =
      model::Linear::Load(loaded->spec_.head, *loaded->checkpoint_);
  if (!head.ok()) return head.status();
  loaded->head_ = *std::move(head);
  return loaded;
}

SequenceState HybridModel::NewState(size_t tokens) const {
  SequenceState state;
  for (const Layer& layer : layers_) {
    if (const auto* attention =
            std::get_if<std::unique_ptr<Attention>>(&layer.mixer)) {
      model::KvCache cache;
      (*attention)->Reserve(tokens, &cache);
      state.layers.emplace_back(std::move(cache));
    } else {
      state.layers.emplace_back(
          std::get<std::unique_ptr<Mamba2>>(layer.mixer)->NewState());
    }
  }
  return state;
}

void HybridModel::ApplyNorm(const Norm& norm, const float* x, size_t rows,
                            float* out, kernels::ThreadPool* pool) const {
  kernels::RmsNormParams params;
  params.x = x;
  params.ldx = spec_.hidden;
  params.rows = rows;
  params.dim = spec_.hidden;
  params.weight = norm.weight.data();
  params.epsilon = norm.epsilon;
  params.out = out;
  params.ldo = spec_.hidden;
  kernels::RmsNorm(params, pool);
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
  const float residual = static_cast<float>(spec_.residual_multiplier);

  std::vector<float> x(size);  // the residual stream
  std::vector<float> normed(size);
  std::vector<float> out(size);
  const size_t row_bytes = embedding_->bytes / embedding_->shape[0];
  for (size_t r = 0; r < rows; ++r) {
    model::WidenToF32(embedding_->dtype, embedding_->data + ids[r] * row_bytes,
                      hidden, x.data() + r * hidden);
  }
  kernels::Scale(static_cast<float>(spec_.embedding_multiplier), x.data(),
                 x.data(), size);

  if (options.layer_outputs != nullptr) options.layer_outputs->clear();
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (options.stop && options.stop()) {
      return absl::CancelledError("stopped between layers");
    }
    const Layer& layer = layers_[i];
    ApplyNorm(layer.mixer_norm, x.data(), rows, normed.data(), workspace->pool);
    if (const auto* attention =
            std::get_if<std::unique_ptr<Attention>>(&layer.mixer)) {
      (*attention)
          ->Forward(normed.data(), rows,
                    &std::get<model::KvCache>(state->layers[i]), out.data(),
                    workspace);
    } else {
      std::get<std::unique_ptr<Mamba2>>(layer.mixer)
          ->Forward(normed.data(), rows,
                    &std::get<model::Mamba2State>(state->layers[i]), out.data(),
                    workspace);
    }
    kernels::AddScaled(residual, out.data(), x.data(), size);

    ApplyNorm(layer.ffn_norm, x.data(), rows, normed.data(), workspace->pool);
    if (layer.mlp != nullptr) {
      layer.mlp->Forward(normed.data(), rows, out.data(), workspace);
    } else {
      std::fill(out.begin(), out.end(), 0.0f);
    }
    if (layer.moe != nullptr) {
      layer.moe->AddForward(normed.data(), rows, out.data(), workspace);
    }
    kernels::AddScaled(residual, out.data(), x.data(), size);
    if (options.layer_outputs != nullptr) {
      options.layer_outputs->emplace_back(x.end() - hidden, x.end());
    }
  }
  state->tokens += rows;

  if (options.logits == LogitsOf::kNothing) return absl::OkStatus();
  const size_t wanted = options.logits == LogitsOf::kAllTokens ? rows : 1;
  ApplyNorm(final_norm_, x.data() + (rows - wanted) * hidden, wanted,
            normed.data(), workspace->pool);
  logits->resize(wanted * head_.out());
  head_.Apply(normed.data(), hidden, wanted, logits->data(), head_.out(),
              workspace->pool);
  kernels::Scale(static_cast<float>(1.0 / spec_.logits_divisor), logits->data(),
                 logits->data(), logits->size());
  return absl::OkStatus();
}

}  // namespace braid::generation
