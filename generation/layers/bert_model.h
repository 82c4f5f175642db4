// The BERT transformer in f32: token ids in, one hidden vector per token out.
#ifndef BRAID_GENERATION_LAYERS_BERT_MODEL_H_
#define BRAID_GENERATION_LAYERS_BERT_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "generation/checkpoint/checkpoint.h"
#include "generation/layers/bert_config.h"
#include "kernels/gemm.h"
#include "kernels/thread_pool.h"

namespace braid::model {

// Immutable after loading; safe to share between threads. Holds the layer
// weights packed, about 4 bytes per parameter; embedding tables stay in the
// mapped file and are read row by row.
class BertModel {
 public:
  // Buffers of one running Forward; grow to the largest batch seen and can be
  // used again by the next one of the same thread.
  class Workspace {
   private:
    friend class BertModel;
    std::unique_ptr<float[]> buffer_;
    size_t capacity_ = 0;
  };

  // Takes tensor names as HF writes them, with or without the prefix "bert.".
  // INVALID_ARGUMENT or NOT_FOUND naming the tensor if the checkpoint does not
  // fit `config`.
  static absl::StatusOr<std::unique_ptr<BertModel>> Load(
      std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config);

  const BertConfig& config() const { return config_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

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
  struct Linear {
    kernels::PackedWeights weights;
    std::vector<float> bias;
  };
  struct Norm {
    std::vector<float> weight;
    std::vector<float> bias;
  };
  struct Layer {
    Linear query_key_value;  // the three stacked: one product instead of three
    Linear attention_output;
    Norm attention_norm;
    Linear intermediate;
    Linear output;
    Norm output_norm;
  };

  BertModel() = default;
  absl::Status LoadTensors();
  absl::StatusOr<const TensorView*> FindTable(const std::string& name,
                                              int64_t rows) const;
  absl::Status ReadLinear(const std::string& name, int64_t out, int64_t in,
                          std::vector<float>* weights,
                          std::vector<float>* bias) const;
  absl::Status LoadLinear(const std::string& name, int64_t out, int64_t in,
                          Linear* linear) const;
  absl::Status LoadNorm(const std::string& name, Norm* norm) const;
  absl::Status LoadLayer(int64_t index, Layer* layer) const;
  void Normalize(const Norm& norm, size_t rows, float* x,
                 kernels::ThreadPool* pool) const;
  absl::Status EmbedTokens(const Input& input, float* out) const;

  BertConfig config_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::string prefix_;  // "" or "bert."
  const TensorView* word_embeddings_ = nullptr;
  const TensorView* position_embeddings_ = nullptr;
  std::vector<float> type_embeddings_;  // [type_vocab_size, hidden_size]
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_LAYERS_BERT_MODEL_H_
