#include "fusion/rerank/cross_encoder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "generation/checkpoint/bert_config.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"

namespace braid::fusion {
namespace {

// Tokens that go through the model together, at least one pair: few, so that a
// deadline is met within tens of milliseconds.
constexpr size_t kBatchTokens = 512;
constexpr size_t kSpecialTokens = 3;
// Bytes of a text that are tokenized, per token that is kept. A longer token is
// an unknown word to the vocabulary.
constexpr size_t kMaxBytesPerToken = 32;

// The front of `text`, at a character boundary.
absl::string_view Front(absl::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<uint8_t>(text[bytes]) & 0xC0) == 0x80) {
    --bytes;
  }
  return text.substr(0, bytes);
}

}  // namespace

struct CrossEncoder::Batch {
  std::vector<int32_t> ids;
  std::vector<uint8_t> types;
  std::vector<size_t> offsets = {0};
};

absl::StatusOr<std::unique_ptr<CrossEncoder>> CrossEncoder::Load(
    const std::string& directory, const CrossEncoderOptions& options) {
  auto encoder = std::unique_ptr<CrossEncoder>(new CrossEncoder());
  encoder->options_ = options;
  const absl::StatusOr<model::BertConfig> config =
      model::ReadBertConfig(directory);
  if (!config.ok()) return config.status();
  encoder->options_.max_pair_tokens = std::min<size_t>(
      options.max_pair_tokens, static_cast<size_t>(config->max_positions));
  if (encoder->options_.max_pair_tokens <
      options.max_query_tokens + kSpecialTokens + 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory, ": pairs of ", encoder->options_.max_pair_tokens,
        " tokens leave no room for a passage after a question of ",
        options.max_query_tokens));
  }
  if (config->type_vocab_size < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory,
        "/config.json: type_vocab_size must be 2 or more for pairs"));
  }
  auto checkpoint = model::Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  const std::string tokenizer_path = absl::StrCat(directory, "/tokenizer.json");
  auto tokenizer =
      model::Tokenizer::FromFile(tokenizer_path, config->vocab_size);
  if (!tokenizer.ok()) return tokenizer.status();
  encoder->tokenizer_ = *std::move(tokenizer);
  if (absl::Status status = encoder->ReadSpecialTokens(tokenizer_path);
      !status.ok()) {
    return status;
  }
  encoder->pool_ = std::make_unique<kernels::ThreadPool>(options.threads);
  auto model = model::BertModel::Load(*std::move(checkpoint), *config,
                                      options.weights, encoder->pool_.get());
  if (!model.ok()) return model.status();
  encoder->model_ = *std::move(model);
  if (absl::Status status = encoder->LoadHead(); !status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat(directory, ": ", status.message()));
  }
  const auto calibration = ReadCalibration(directory);
  if (!calibration.ok()) return calibration.status();
  encoder->calibration_ = *calibration;
  encoder->name_ = std::filesystem::path(directory).filename().string();
  return encoder;
}

absl::Status CrossEncoder::ReadSpecialTokens(const std::string& path) {
  const auto empty = tokenizer_->Encode("", model::EncodeOptions());
  if (!empty.ok()) return empty.status();
  if (empty->ids.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": post_processor must put one token before a text "
                     "and one behind it"));
  }
  cls_ = empty->ids[0];
  sep_ = empty->ids[1];
  return absl::OkStatus();
}

absl::Status CrossEncoder::LoadHead() {
  const model::Checkpoint& checkpoint = model_->checkpoint();
  const int64_t hidden = model_->config().hidden_size;
  auto read = checkpoint.ReadF32("bert.pooler.dense.weight", {hidden, hidden});
  if (!read.ok()) return read.status();
  pooler_ = kernels::PackedWeights::Pack(
      read->data(), static_cast<size_t>(hidden), static_cast<size_t>(hidden));
  read = checkpoint.ReadF32("bert.pooler.dense.bias", {hidden});
  if (!read.ok()) return read.status();
  pooler_bias_ = *std::move(read);
  read = checkpoint.ReadF32("classifier.weight", {1, hidden});
  if (!read.ok()) return read.status();
  classifier_ = *std::move(read);
  read = checkpoint.ReadF32("classifier.bias", {1});
  if (!read.ok()) return read.status();
  classifier_bias_ = (*read)[0];
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> CrossEncoder::Tokenize(
    absl::string_view text, size_t max_tokens) const {
  model::EncodeOptions options;
  options.add_special_tokens = false;
  options.max_tokens = max_tokens;
  auto encoding =
      tokenizer_->Encode(Front(text, max_tokens * kMaxBytesPerToken), options);
  if (!encoding.ok()) return encoding.status();
  return std::move(encoding->ids);
}

absl::StatusOr<std::vector<std::vector<int32_t>>>
CrossEncoder::TokenizePassages(absl::Span<const RerankInput> inputs,
                               size_t max_tokens) const {
  std::vector<std::vector<int32_t>> all(inputs.size());
  std::vector<absl::Status> statuses(inputs.size());
  pool_->ParallelFor(inputs.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto& [title, text] = inputs[i];
      auto ids = Tokenize(
          title.empty() ? std::string(text) : absl::StrCat(title, ". ", text),
          max_tokens);
      statuses[i] = ids.status();
      if (ids.ok()) all[i] = *std::move(ids);
    }
  });
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return all;
}

void CrossEncoder::Append(const std::vector<int32_t>& query,
                          const std::vector<int32_t>& passage,
                          Batch* batch) const {
  batch->ids.push_back(cls_);
  batch->ids.insert(batch->ids.end(), query.begin(), query.end());
  batch->ids.push_back(sep_);
  batch->types.resize(batch->ids.size(), 0);
  batch->ids.insert(batch->ids.end(), passage.begin(), passage.end());
  batch->ids.push_back(sep_);
  batch->types.resize(batch->ids.size(), 1);
  batch->offsets.push_back(batch->ids.size());
}

absl::Status CrossEncoder::Run(const Batch& batch,
                               model::BertModel::Workspace* workspace,
                               std::vector<float>* logits) const {
  const size_t hidden = classifier_.size();
  const size_t pairs = batch.offsets.size() - 1;
  std::vector<float> states(batch.ids.size() * hidden);
  if (absl::Status status =
          model_->Forward({.ids = batch.ids,
                           .offsets = batch.offsets,
                           .types = batch.types,
                           .first_only = true},
                          pool_.get(), workspace, states.data());
      !status.ok()) {
    return status;
  }
  std::vector<float> pooled(pairs * hidden);
  kernels::Gemm({.a = states.data(),
                 .lda = hidden,
                 .m = pairs,
                 .b = &pooler_,
                 .bias = pooler_bias_.data(),
                 .c = pooled.data(),
                 .ldc = hidden},
                pool_.get());
  for (float& value : pooled) value = std::tanh(value);
  for (size_t i = 0; i < pairs; ++i) {
    const float logit =
        kernels::Dot(pooled.data() + i * hidden, classifier_.data(), hidden) +
        classifier_bias_;
    if (!std::isfinite(logit)) {
      return absl::InternalError(
          "the reranker gave no number: its weights are damaged");
    }
    logits->push_back(logit);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> CrossEncoder::Score(
    absl::string_view query, absl::Span<const RerankInput> inputs,
    std::chrono::steady_clock::time_point deadline,
    std::stop_token stop) const {
  const auto query_ids = Tokenize(query, options_.max_query_tokens);
  if (!query_ids.ok()) return query_ids.status();
  const auto passages = TokenizePassages(
      inputs, options_.max_pair_tokens - kSpecialTokens - query_ids->size());
  if (!passages.ok()) return passages.status();
  std::vector<float> logits;
  logits.reserve(inputs.size());
  model::BertModel::Workspace workspace;
  std::chrono::duration<double> per_token{0};
  size_t next = 0;
  while (next < inputs.size()) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    const auto start = std::chrono::steady_clock::now();
    Batch batch;
    while (next < inputs.size() && batch.ids.size() < kBatchTokens) {
      Append(*query_ids, (*passages)[next++], &batch);
    }
    const auto tokens = static_cast<double>(batch.ids.size());
    if (per_token * tokens > deadline - start) break;
    if (absl::Status status = Run(batch, &workspace, &logits); !status.ok()) {
      return status;
    }
    per_token = (std::chrono::steady_clock::now() - start) / tokens;
  }
  return logits;
}

}  // namespace braid::fusion
