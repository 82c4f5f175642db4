#include "generation/layers/bert_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"

namespace braid::model {
absl::StatusOr<std::unique_ptr<BertModel>> BertModel::Load(
    std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config,
    WeightType weights, kernels::ThreadPool* pool) {
  const BertSpec spec = MakeBertSpec(config, *checkpoint);
  if (absl::Status s = CheckTensors(spec, config, *checkpoint); !s.ok()) {
    return s;
  }
  const absl::StatusOr<WeightLoader::Options> options =
      WeightLoader::Options::For(*checkpoint, config.quantization, weights,
                                 pool);
  if (!options.ok()) return options.status();

  auto model = std::unique_ptr<BertModel>(new BertModel());
  model->config_ = config;
  model->checkpoint_ = std::move(checkpoint);
  for (const auto& format : {options->stored, options->quantize_to}) {
    if (format.has_value()) model->weight_bits_ = format->bits;
  }
  const Checkpoint& tensors = *model->checkpoint_;
  model->word_embeddings_ =
      EmbeddingTable(tensors, config.quantization, spec.word_embeddings);
  model->position_embeddings_ =
      EmbeddingTable(tensors, config.quantization, spec.position_embeddings);
  WeightLoader loader(tensors, *options);
  model->type_embeddings_ = loader.Read(spec.type_embeddings);
  model->embedding_norm_ = LoadNorm(spec.embedding_norm, loader);
  for (const BertLayerSpec& layer : spec.layers) {
    model->layers_.push_back(
        {.query_key_value = loader.Load(layer.query_key_value),
         .attention_output = loader.Load(layer.attention_output),
         .attention_norm = LoadNorm(layer.attention_norm, loader),
         .intermediate = loader.Load(layer.intermediate),
         .output = loader.Load(layer.output),
         .output_norm = LoadNorm(layer.output_norm, loader)});
  }
  return loader.Finish(std::move(model));
}

BertModel::Norm BertModel::LoadNorm(const LayerNormSpec& spec,
                                    WeightLoader& loader) {
  return {loader.Read(spec.weight), loader.Read(spec.bias)};
}

void BertModel::Normalize(const Norm& norm, size_t rows, float* x,
                          kernels::ThreadPool* pool) const {
  const size_t hidden = config_.hidden_size;
  kernels::LayerNorm({.x = x,
                      .ldx = hidden,
                      .rows = rows,
                      .dim = hidden,
                      .weight = norm.weight.data(),
                      .bias = norm.bias.data(),
                      .epsilon = config_.layer_norm_epsilon,
                      .out = x,
                      .ldo = hidden},
                     pool);
}

absl::Status BertModel::EmbedTokens(const Input& input, float* out) const {
  const auto& [ids, offsets, types, first_only] = input;
  if (!types.empty() && types.size() != ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(types.size(), " token types for ", ids.size(), " tokens"));
  }
  const int64_t hidden = config_.hidden_size;
  std::vector<float> row(hidden);
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const size_t length = offsets[s + 1] - offsets[s];
    if (length == 0 || length > static_cast<size_t>(config_.max_positions)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a sequence of ", length, " tokens; the model takes 1 to ",
          config_.max_positions));
    }
    for (size_t t = 0; t < length; ++t) {
      const int32_t id = ids[offsets[s] + t];
      if (id < 0 || id >= config_.vocab_size) {
        return absl::InvalidArgumentError(
            absl::StrCat("token id ", id, " is outside the vocabulary of ",
                         config_.vocab_size));
      }
      float* to = out + (offsets[s] + t) * hidden;
      word_embeddings_.Read(id, to);
      // The order of additions is that of the reference implementation.
      const int64_t type = types.empty() ? 0 : types[offsets[s] + t];
      if (type >= config_.type_vocab_size) {
        return absl::InvalidArgumentError(
            absl::StrCat("token type ", type, " of a model that has ",
                         config_.type_vocab_size));
      }
      kernels::AddScaled(1.0f, type_embeddings_.data() + type * hidden, to,
                         hidden);
      position_embeddings_.Read(static_cast<int64_t>(t), row.data());
      kernels::AddScaled(1.0f, row.data(), to, hidden);
    }
  }
  return absl::OkStatus();
}

absl::Status BertModel::Forward(const Input& input, kernels::ThreadPool* pool,
                                Workspace* workspace, float* out) const {
  if (input.ids.empty()) return absl::OkStatus();
  if (absl::Status s = EmbedTokens(input, out); !s.ok()) return s;
  const size_t sequences = input.offsets.size() - 1;
  size_t tokens = input.ids.size();
  const size_t hidden = config_.hidden_size;
  const size_t inner = config_.intermediate_size;
  Normalize(embedding_norm_, tokens, out, pool);

  // The inner activations take the place of the queries, keys and values,
  // which are no longer needed by then.
  const size_t wide = std::max(3 * hidden, inner);
  float* wide_buffer =
      model::Workspace::Reserve(workspace->wide_, tokens * wide);
  float* context =
      model::Workspace::Reserve(workspace->context_, tokens * hidden);
  workspace->layers_.pool = pool;

  const auto product = [&](const Linear& linear, const float* x,
                           const float* residual, float* y,
                           kernels::Activation activation) {
    Linear::ApplyAll({{.linear = &linear,
                       .x = x,
                       .ldx = linear.in(),
                       .rows = tokens,
                       .y = y,
                       .ldy = linear.out(),
                       .activation = activation,
                       .residual = residual}},
                     &workspace->layers_);
  };
  const size_t head_dim = hidden / config_.num_heads;
  for (const Layer& layer : layers_) {
    product(layer.query_key_value, out, nullptr, wide_buffer,
            kernels::Activation::kNone);
    kernels::PackedAttention(
        {.q = wide_buffer,
         .k = wide_buffer + hidden,
         .v = wide_buffer + 2 * hidden,
         .ld = 3 * hidden,
         .offsets = input.offsets.data(),
         .num_sequences = sequences,
         .heads = static_cast<size_t>(config_.num_heads),
         .head_dim = head_dim,
         .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
         .out = context,
         .ldo = hidden},
        pool);
    if (input.first_only && &layer == &layers_.back()) {
      // Rows move towards the front, so none is overwritten before it is read.
      for (size_t s = 0; s < sequences; ++s) {
        const size_t first = input.offsets[s];
        std::memmove(context + s * hidden, context + first * hidden,
                     hidden * sizeof(float));
        std::memmove(out + s * hidden, out + first * hidden,
                     hidden * sizeof(float));
      }
      tokens = sequences;
    }
    product(layer.attention_output, context, out, out,
            kernels::Activation::kNone);
    Normalize(layer.attention_norm, tokens, out, pool);
    product(layer.intermediate, out, nullptr, wide_buffer,
            kernels::Activation::kGelu);
    product(layer.output, wide_buffer, out, out, kernels::Activation::kNone);
    Normalize(layer.output_norm, tokens, out, pool);
  }
  return absl::OkStatus();
}

}  // namespace braid::model
