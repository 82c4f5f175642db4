// Text embeddings by a BERT-family model in the sentence-transformers layout,
// such as all-MiniLM-L6-v2.
#ifndef BRAID_RETRIEVAL_ENCODER_BERT_ENCODER_H_
#define BRAID_RETRIEVAL_ENCODER_BERT_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "generation/layers/bert_model.h"
#include "generation/text/tokenizer.h"
#include "kernels/thread_pool.h"
#include "retrieval/encoder/encoder.h"
#include "retrieval/encoder/sentence_config.h"

namespace braid::retrieval {

// Sequences of a batch are concatenated without padding, so the cost depends
// on the tokens alone. A text's vector does not depend on its batch. Callers on
// several threads share the arithmetic threads. Special tokens written out in a
// text are plain text. Memory: the weights, and per running Embed about 25 MB
// at 384 x 1536 besides the token ids. Vectors of int8 weights are close to
// those of f32, but another encoder's.
class BertEncoder : public Encoder {
 public:
  // Reads a directory with config.json, safetensors, tokenizer.json and, if
  // there, the files of sentence-transformers. `threads` counts the caller; 0
  // takes all cores. NOT_FOUND, INVALID_ARGUMENT or UNIMPLEMENTED, naming file
  // and field.
  static absl::StatusOr<std::unique_ptr<BertEncoder>> Load(
      const std::string& directory, model::WeightType weights, int threads);

  size_t dimension() const override { return model_->config().hidden_size; }
  const std::string& fingerprint() const override { return fingerprint_; }
  size_t max_tokens() const override { return max_tokens_; }
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override;
  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const override;

  // The ids that Embed runs the model on.
  absl::StatusOr<std::vector<int32_t>> TokenIds(absl::string_view text) const;

  const model::BertConfig& config() const { return model_->config(); }

 private:
  BertEncoder() = default;
  absl::StatusOr<std::vector<std::vector<int32_t>>> Tokenize(
      absl::Span<const absl::string_view> texts) const;
  absl::Status Pool(const float* hidden, size_t tokens, float* out) const;

  Pooling pooling_ = Pooling::kMean;
  size_t max_tokens_ = 0;
  std::string fingerprint_;
  std::unique_ptr<model::BertModel> model_;
  std::unique_ptr<model::Tokenizer> tokenizer_;
  std::unique_ptr<kernels::ThreadPool> pool_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_ENCODER_BERT_ENCODER_H_
