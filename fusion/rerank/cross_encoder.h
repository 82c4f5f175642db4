// Reranking by a BERT-family cross-encoder: question and passage are read
// together, so that every word of one can look at every word of the other.
//
// Nogueira and Cho, "Passage Re-ranking with BERT" (2019), section 3.
#ifndef BRAID_FUSION_RERANK_CROSS_ENCODER_H_
#define BRAID_FUSION_RERANK_CROSS_ENCODER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "fusion/reranker.h"
#include "generation/layers/bert_model.h"
#include "generation/text/tokenizer.h"
#include "kernels/thread_pool.h"

namespace braid::fusion {

struct CrossEncoderOptions {
  int threads = 1;  // arithmetic threads, the caller included
  model::WeightType weights = model::WeightType::kStored;
  // A question is cut at the first, the pair (with [CLS] and two [SEP]) at the
  // second: what does not fit is the end of the passage.
  size_t max_query_tokens = 96;
  size_t max_pair_tokens = 256;
};

// The pair is [CLS] question [SEP] title. text [SEP], with token type 1 after
// the first [SEP]; the score is the classifier's one logit of the pooled [CLS].
// Pairs lie one after another without padding, and a pair's logit does not
// depend on the others. Special tokens written out in a text are plain text.
class CrossEncoder : public Reranker {
 public:
  // Reads an HF directory of a BertForSequenceClassification with one label:
  // config.json, safetensors, tokenizer.json and, if there, calibration.json.
  // NOT_FOUND, INVALID_ARGUMENT or UNIMPLEMENTED, naming file and field or
  // tensor.
  static absl::StatusOr<std::unique_ptr<CrossEncoder>> Load(
      const std::string& directory, const CrossEncoderOptions& options);

  const std::string& name() const override { return name_; }
  const RerankCalibration& calibration() const override { return calibration_; }
  // Works through the inputs in batches and stops before one that, at the speed
  // so far, would not be done by the deadline. INVALID_ARGUMENT for text that
  // is not UTF-8.
  absl::StatusOr<std::vector<float>> Score(
      absl::string_view query, absl::Span<const RerankInput> inputs,
      std::chrono::steady_clock::time_point deadline,
      std::stop_token stop) const override;

 private:
  struct Batch;

  CrossEncoder() = default;
  absl::Status LoadHead();
  absl::Status ReadSpecialTokens(const std::string& path);
  absl::StatusOr<std::vector<int32_t>> Tokenize(absl::string_view text,
                                                size_t max_tokens) const;
  absl::StatusOr<std::vector<std::vector<int32_t>>> TokenizePassages(
      absl::Span<const RerankInput> inputs, size_t max_tokens) const;
  void Append(const std::vector<int32_t>& query,
              const std::vector<int32_t>& passage, Batch* batch) const;
  absl::Status Run(const Batch& batch, model::BertModel::Workspace* workspace,
                   std::vector<float>* logits) const;

  CrossEncoderOptions options_;
  std::string name_;
  RerankCalibration calibration_;
  int32_t cls_ = 0;
  int32_t sep_ = 0;
  std::unique_ptr<model::BertModel> model_;
  std::unique_ptr<model::Tokenizer> tokenizer_;
  std::unique_ptr<kernels::ThreadPool> pool_;
  kernels::PackedWeights pooler_;  // [hidden, hidden]
  std::vector<float> pooler_bias_;
  std::vector<float> classifier_;  // [hidden]
  float classifier_bias_ = 0;
};

}  // namespace braid::fusion

#endif  // BRAID_FUSION_RERANK_CROSS_ENCODER_H_
