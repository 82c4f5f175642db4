// The shape of a BERT-family model, from `config.json`.
#ifndef BRAID_GENERATION_CHECKPOINT_BERT_CONFIG_H_
#define BRAID_GENERATION_CHECKPOINT_BERT_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/quantized_weights.h"

namespace braid::model {

struct BertConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;  // divides hidden_size
  int64_t intermediate_size = 0;
  int64_t max_positions = 0;
  int64_t type_vocab_size = 0;
  float layer_norm_epsilon = 1e-12f;
  // How the matrices that hold codes are stored, if any do.
  std::optional<kernels::QuantizedFormat> quantization;
};

// Whether `directory`/config.json is that of a BERT-family model.
absl::StatusOr<bool> IsBert(const std::string& directory);

// Reads `directory`/config.json. Every number is checked against a range in
// which no product of two overflows. INVALID_ARGUMENT naming file and field for
// a malformed one; UNIMPLEMENTED naming the field for a model that is not
// plain BERT with exact GELU and absolute positions.
absl::StatusOr<BertConfig> ReadBertConfig(const std::string& directory);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_BERT_CONFIG_H_
