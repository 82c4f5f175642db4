#include "generation/checkpoint/bert_spec.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "generation/checkpoint/quantized_tensors.h"

namespace braid::model {
namespace {

constexpr char kWordEmbeddings[] = "embeddings.word_embeddings.weight";

// Matrices of several layers of one shape, stacked.
LinearSpec Linear(const std::vector<std::string>& names, int64_t out,
                  int64_t in) {
  LinearSpec linear;
  linear.in = in;
  for (const std::string& name : names) {
    linear.weights.push_back({absl::StrCat(name, ".weight"), {out, in}});
    linear.biases.push_back({absl::StrCat(name, ".bias"), {out}});
  }
  return linear;
}

LayerNormSpec Norm(const std::string& name, int64_t dim) {
  return {{absl::StrCat(name, ".weight"), {dim}},
          {absl::StrCat(name, ".bias"), {dim}}};
}

}  // namespace

BertSpec MakeBertSpec(const BertConfig& config, const Checkpoint& checkpoint) {
  const std::string prefix =
      checkpoint.Find(kWordEmbeddings) == nullptr ? "bert." : "";
  const int64_t hidden = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const auto table = [&](const char* name, int64_t rows) {
    return TensorSpec{absl::StrCat(prefix, "embeddings.", name, ".weight"),
                      {rows, hidden}};
  };
  BertSpec spec;
  spec.word_embeddings = table("word_embeddings", config.vocab_size);
  spec.position_embeddings = table("position_embeddings", config.max_positions);
  spec.type_embeddings = table("token_type_embeddings", config.type_vocab_size);
  spec.embedding_norm =
      Norm(absl::StrCat(prefix, "embeddings.LayerNorm"), hidden);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string name = absl::StrCat(prefix, "encoder.layer.", i, ".");
    const std::string self = absl::StrCat(name, "attention.self.");
    BertLayerSpec layer;
    layer.query_key_value =
        Linear({absl::StrCat(self, "query"), absl::StrCat(self, "key"),
                absl::StrCat(self, "value")},
               hidden, hidden);
    layer.attention_output =
        Linear({absl::StrCat(name, "attention.output.dense")}, hidden, hidden);
    layer.attention_norm =
        Norm(absl::StrCat(name, "attention.output.LayerNorm"), hidden);
    layer.intermediate =
        Linear({absl::StrCat(name, "intermediate.dense")}, inner, hidden);
    layer.output = Linear({absl::StrCat(name, "output.dense")}, hidden, inner);
    layer.output_norm = Norm(absl::StrCat(name, "output.LayerNorm"), hidden);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

std::vector<TensorSpec> QuantizableTensors(const BertSpec& spec) {
  std::vector<TensorSpec> tensors = {spec.word_embeddings};
  for (const BertLayerSpec& layer : spec.layers) {
    for (const LinearSpec* linear :
         {&layer.query_key_value, &layer.attention_output, &layer.intermediate,
          &layer.output}) {
      tensors.insert(tensors.end(), linear->weights.begin(),
                     linear->weights.end());
    }
  }
  return tensors;
}

absl::Status CheckTensors(const BertSpec& spec, const BertConfig& config,
                          const Checkpoint& checkpoint) {
  std::vector<TensorSpec> tensors = QuantizableTensors(spec);
  if (config.quantization.has_value()) {
    for (const TensorSpec& matrix : tensors) {
      if (!IsQuantized(checkpoint, matrix.name)) continue;
      absl::Status status =
          CheckQuantized(checkpoint, *config.quantization, matrix);
      if (!status.ok()) return status;
    }
    std::erase_if(tensors, [&](const TensorSpec& matrix) {
      return IsQuantized(checkpoint, matrix.name);
    });
  }
  tensors.push_back(spec.position_embeddings);
  tensors.push_back(spec.type_embeddings);
  for (const TensorSpec& tensor : tensors) {
    const auto found = checkpoint.FindFloat(tensor.name, tensor.shape);
    if (!found.ok()) return found.status();
  }
  return absl::OkStatus();
}

}  // namespace braid::model
