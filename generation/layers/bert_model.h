// The BERT transformer: token ids in, one hidden vector per token out.
#ifndef BRAID_GENERATION_LAYERS_BERT_MODEL_H_
#define BRAID_GENERATION_LAYERS_BERT_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "generation/checkpoint/bert_config.h"
#include "generation/checkpoint/bert_spec.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/checkpoint/embedding_table.h"
#include "generation/checkpoint/weight_type.h"
#include "generation/layers/linear.h"
#include "generation/layers/weight_loader.h"
#include "generation/layers/workspace.h"
#include "kernels/aligned_vector.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// Immutable after loading; safe to share between threads. Holds the layer
// weights packed, 4 bytes per parameter in f32 and 1 in int8; embedding tables
// stay in the mapped file and are read row by row. Activations are f32, and in
// products with int8 weights 8 bits.
class BertModel {
 public:
  // Buffers of one running Forward; grow to the largest batch seen and can be
  // used again by the next one of the same thread.
  class Workspace {
   private:
    friend class BertModel;
    model::Workspace layers_;
    kernels::AlignedVector wide_;
    kernels::AlignedVector context_;
  };

  // Takes tensor names as HF writes them, with or without the prefix "bert.".
  // INVALID_ARGUMENT or NOT_FOUND naming the tensor if the checkpoint does not
  // fit `config`, or cannot be loaded as `weights`. `pool`, which quantises,
  // may be null.
  static absl::StatusOr<std::unique_ptr<BertModel>> Load(
      std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config,
      WeightType weights, kernels::ThreadPool* pool);

  const BertConfig& config() const { return config_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  // Bits of the layers' weights: 32, 8 or 4.
  int weight_bits() const { return weight_bits_; }

  // Sequences that lie one after another in `ids`, each from position 0 on:
  // sequence s is [offsets[s], offsets[s + 1]), 1 to max_positions tokens.
  struct Input {
    absl::Span<const int32_t> ids;
    absl::Span<const size_t> offsets;  // [sequences + 1]
    absl::Span<const uint8_t> types;   // token types, [ids]; empty: all 0
    // Only the first token of each sequence is wanted, as by a classifier: the
    // last layer computes no other.
    bool first_only = false;
  };
  // Writes the hidden vectors to `out`, which has room for [ids, hidden_size]:
  // as many rows, or with `first_only` one per sequence. Working memory is
  // about 20 KB per token at 384 x 1536. INVALID_ARGUMENT for an id outside the
  // vocabulary or a type that the model has not.
  absl::Status Forward(const Input& input, kernels::ThreadPool* pool,
                       Workspace* workspace, float* out) const;

 private:
  struct Norm {
    std::vector<float> weight;
    std::vector<float> bias;
  };
  struct Layer {
    Linear query_key_value;
    Linear attention_output;
    Norm attention_norm;
    Linear intermediate;
    Linear output;
    Norm output_norm;
  };

  BertModel() = default;
  static Norm LoadNorm(const LayerNormSpec& spec, WeightLoader& loader);
  void Normalize(const Norm& norm, size_t rows, float* x,
                 kernels::ThreadPool* pool) const;
  absl::Status EmbedTokens(const Input& input, float* out) const;

  BertConfig config_;
  std::unique_ptr<Checkpoint> checkpoint_;
  int weight_bits_ = 32;
  EmbeddingTable word_embeddings_;
  EmbeddingTable position_embeddings_;
  std::vector<float> type_embeddings_;  // [type_vocab_size, hidden_size]
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_BERT_MODEL_H_
