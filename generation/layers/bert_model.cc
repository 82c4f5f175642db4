#include "generation/layers/bert_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"

namespace braid::model {
namespace {

constexpr char kWordEmbeddings[] = "embeddings.word_embeddings";

// Row `row` of a [rows, width] table, widened to f32.
void ReadRow(const TensorView& table, int64_t row, int64_t width, float* out) {
  const uint64_t row_bytes = table.bytes / table.shape[0];
  WidenToF32(table.dtype, table.data + row * row_bytes, width, out);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BertModel>> BertModel::Load(
    std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config) {
  auto model = std::unique_ptr<BertModel>(new BertModel());
  model->config_ = config;
  model->checkpoint_ = std::move(checkpoint);
  if (absl::Status s = model->LoadTensors(); !s.ok()) {
    return absl::Status(s.code(), absl::StrCat(model->checkpoint_->directory(),
                                               ": ", s.message()));
  }
  return model;
}

absl::Status BertModel::LoadTensors() {
  if (checkpoint_->Find(absl::StrCat(kWordEmbeddings, ".weight")) == nullptr) {
    prefix_ = "bert.";
  }
  absl::StatusOr<const TensorView*> table =
      FindTable(kWordEmbeddings, config_.vocab_size);
  if (!table.ok()) return table.status();
  word_embeddings_ = *table;
  table = FindTable("embeddings.position_embeddings", config_.max_positions);
  if (!table.ok()) return table.status();
  position_embeddings_ = *table;
  table =
      FindTable("embeddings.token_type_embeddings", config_.type_vocab_size);
  if (!table.ok()) return table.status();
  type_embeddings_.resize(config_.type_vocab_size * config_.hidden_size);
  for (int64_t type = 0; type < config_.type_vocab_size; ++type) {
    ReadRow(**table, type, config_.hidden_size,
            type_embeddings_.data() + type * config_.hidden_size);
  }
  if (absl::Status s = LoadNorm("embeddings.LayerNorm", &embedding_norm_);
      !s.ok()) {
    return s;
  }
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    layers_.emplace_back();
    if (absl::Status s = LoadLayer(i, &layers_.back()); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<const TensorView*> BertModel::FindTable(const std::string& name,
                                                       int64_t rows) const {
  const std::string full = absl::StrCat(prefix_, name, ".weight");
  const TensorView* table = checkpoint_->Find(full);
  if (table == nullptr) {
    return absl::NotFoundError(absl::StrCat("tensor ", full, " is missing"));
  }
  if (!IsFloat(table->dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", full, " has type ", table->dtype_name,
                     "; F32, F16 and BF16 can be read"));
  }
  if (table->shape != std::vector<int64_t>{rows, config_.hidden_size}) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", full, " has shape [", absl::StrJoin(table->shape, ", "),
        "], but config.json says [", rows, ", ", config_.hidden_size, "]"));
  }
  return table;
}

absl::Status BertModel::ReadLinear(const std::string& name, int64_t out,
                                   int64_t in, std::vector<float>* weights,
                                   std::vector<float>* bias) const {
  absl::StatusOr<std::vector<float>> read =
      checkpoint_->ReadF32(absl::StrCat(prefix_, name, ".weight"), {out, in});
  if (!read.ok()) return read.status();
  weights->insert(weights->end(), read->begin(), read->end());
  read = checkpoint_->ReadF32(absl::StrCat(prefix_, name, ".bias"), {out});
  if (!read.ok()) return read.status();
  bias->insert(bias->end(), read->begin(), read->end());
  return absl::OkStatus();
}

absl::Status BertModel::LoadLinear(const std::string& name, int64_t out,
                                   int64_t in, Linear* linear) const {
  std::vector<float> weights;
  if (absl::Status s = ReadLinear(name, out, in, &weights, &linear->bias);
      !s.ok()) {
    return s;
  }
  linear->weights = kernels::PackedWeights::Pack(weights.data(), out, in);
  return absl::OkStatus();
}

absl::Status BertModel::LoadNorm(const std::string& name, Norm* norm) const {
  const int64_t hidden = config_.hidden_size;
  absl::StatusOr<std::vector<float>> weight =
      checkpoint_->ReadF32(absl::StrCat(prefix_, name, ".weight"), {hidden});
  if (!weight.ok()) return weight.status();
  absl::StatusOr<std::vector<float>> bias =
      checkpoint_->ReadF32(absl::StrCat(prefix_, name, ".bias"), {hidden});
  if (!bias.ok()) return bias.status();
  norm->weight = *std::move(weight);
  norm->bias = *std::move(bias);
  return absl::OkStatus();
}

absl::Status BertModel::LoadLayer(int64_t index, Layer* layer) const {
  const std::string name = absl::StrCat("encoder.layer.", index, ".");
  const int64_t hidden = config_.hidden_size;
  std::vector<float> weights;
  for (const char* part : {"query", "key", "value"}) {
    if (absl::Status s =
            ReadLinear(absl::StrCat(name, "attention.self.", part), hidden,
                       hidden, &weights, &layer->query_key_value.bias);
        !s.ok()) {
      return s;
    }
  }
  layer->query_key_value.weights =
      kernels::PackedWeights::Pack(weights.data(), 3 * hidden, hidden);

  if (absl::Status s = LoadLinear(absl::StrCat(name, "attention.output.dense"),
                                  hidden, hidden, &layer->attention_output);
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          LoadNorm(absl::StrCat(name, "attention.output.LayerNorm"),
                   &layer->attention_norm);
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          LoadLinear(absl::StrCat(name, "intermediate.dense"),
                     config_.intermediate_size, hidden, &layer->intermediate);
      !s.ok()) {
    return s;
  }
  if (absl::Status s = LoadLinear(absl::StrCat(name, "output.dense"), hidden,
                                  config_.intermediate_size, &layer->output);
      !s.ok()) {
    return s;
  }
  return LoadNorm(absl::StrCat(name, "output.LayerNorm"), &layer->output_norm);
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
      ReadRow(*word_embeddings_, id, hidden, to);
      // The order of additions is that of the reference implementation.
      const int64_t type = types.empty() ? 0 : types[offsets[s] + t];
      if (type >= config_.type_vocab_size) {
        return absl::InvalidArgumentError(
            absl::StrCat("token type ", type, " of a model that has ",
                         config_.type_vocab_size));
      }
      kernels::AddScaled(1.0f, type_embeddings_.data() + type * hidden, to,
                         hidden);
      ReadRow(*position_embeddings_, t, hidden, row.data());
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
  const size_t needed = tokens * (wide + hidden);
  if (workspace->capacity_ < needed) {
    workspace->buffer_.reset();
    workspace->buffer_.reset(new float[needed]);
    workspace->capacity_ = needed;
  }
  float* wide_buffer = workspace->buffer_.get();
  float* context = wide_buffer + tokens * wide;

  const auto product = [&](const Linear& linear, const float* a,
                           const float* residual, float* c,
                           kernels::Activation activation) {
    kernels::Gemm({.a = a,
                   .lda = linear.weights.k(),
                   .m = tokens,
                   .b = &linear.weights,
                   .bias = linear.bias.data(),
                   .residual = residual,
                   .c = c,
                   .ldc = linear.weights.n(),
                   .activation = activation},
                  pool);
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
