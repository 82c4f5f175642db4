// The BERT transformer in f32: token ids in, one hidden vector per token out.
#ifndef BRAID_RETRIEVAL_ENCODER_BERT_MODEL_H_
#define BRAID_RETRIEVAL_ENCODER_BERT_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "generation/checkpoint/checkpoint.h"
#include "kernels/gemm.h"
#include "kernels/thread_pool.h"
#include "retrieval/encoder/bert_config.h"

namespace braid::retrieval {

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
      std::unique_ptr<model::Checkpoint> checkpoint, const BertConfig& config);

  const BertConfig& config() const { return config_; }
  const model::Checkpoint& checkpoint() const { return *checkpoint_; }

  // Runs sequences that lie one after another in `ids` (each of its own
  // position 0 and token type 0): sequence s is [offsets[s], offsets[s + 1]).
  // Writes [ids.size(), hidden_size] to `out`. Working memory is about
  // 20 KB per token at 384 x 1536. Every sequence must have 1 to max_positions
  // tokens; INVALID_ARGUMENT for an id outside the vocabulary.
  absl::Status Forward(absl::Span<const int32_t> ids,
                       absl::Span<const size_t> offsets,
                       kernels::ThreadPool* pool, Workspace* workspace,
                       float* out) const;

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
  absl::StatusOr<const model::TensorView*> FindTable(const std::string& name,
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
  absl::Status EmbedTokens(absl::Span<const int32_t> ids,
                           absl::Span<const size_t> offsets, float* out) const;

  BertConfig config_;
  std::unique_ptr<model::Checkpoint> checkpoint_;
  std::string prefix_;  // "" or "bert."
  const model::TensorView* word_embeddings_ = nullptr;
  const model::TensorView* position_embeddings_ = nullptr;
  std::vector<float> type_embedding_;  // of type 0
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_ENCODER_BERT_MODEL_H_
