// The tensors of a BERT-family checkpoint, by their names in the file.
#ifndef BRAID_GENERATION_CHECKPOINT_BERT_SPEC_H_
#define BRAID_GENERATION_CHECKPOINT_BERT_SPEC_H_

#include <vector>

#include "absl/status/status.h"
#include "generation/checkpoint/bert_config.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/model_spec.h"

namespace braid::model {

struct LayerNormSpec {
  TensorSpec weight;  // [hidden]
  TensorSpec bias;    // [hidden]
};

struct BertLayerSpec {
  LinearSpec query_key_value;  // the three stacked: one product for them
  LinearSpec attention_output;
  LayerNormSpec attention_norm;
  LinearSpec intermediate;
  LinearSpec output;
  LayerNormSpec output_norm;
};

struct BertSpec {
  TensorSpec word_embeddings;      // [vocab, hidden]
  TensorSpec position_embeddings;  // [max_positions, hidden]
  TensorSpec type_embeddings;      // [type_vocab, hidden]
  LayerNormSpec embedding_norm;
  std::vector<BertLayerSpec> layers;
};

// Names as HF writes them: with the prefix "bert." if the checkpoint has the
// word embeddings under it, else without one.
BertSpec MakeBertSpec(const BertConfig& config, const Checkpoint& checkpoint);

// Those that may be stored in 8 or 4 bits: the word embeddings and the weights
// of the layers.
std::vector<TensorSpec> QuantizableTensors(const BertSpec& spec);

// Checks that all embeddings and matrices are there, in these shapes, as
// floating-point numbers or, where they may be, as codes. Norms and biases are
// checked as they are read. NOT_FOUND or INVALID_ARGUMENT naming the tensor.
absl::Status CheckTensors(const BertSpec& spec, const BertConfig& config,
                          const Checkpoint& checkpoint);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_BERT_SPEC_H_
