#include "retrieval/encoder/bert_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/elementwise.h"
#include "retrieval/encoder/fingerprint.h"

namespace braid::retrieval {
namespace {

// Tokens that go through the model together, at least one text. Enough for the
// reading of the weights not to matter, few enough to stay in the cache.
constexpr size_t kBatchTokens = 512;
// Texts whose token ids are held at once.
constexpr size_t kTextsAtOnce = 4096;
constexpr int kMaxThreads = 1024;

// Lower-casing before the tokenizer changes nothing if the tokenizer does it.
absl::Status CheckLowerCase(const model::Tokenizer& tokenizer,
                            const std::string& directory) {
  const model::EncodeOptions options;
  absl::StatusOr<model::TokenEncoding> upper =
      tokenizer.Encode("BRAID", options);
  if (!upper.ok()) return upper.status();
  absl::StatusOr<model::TokenEncoding> lower =
      tokenizer.Encode("braid", options);
  if (!lower.ok()) return lower.status();
  if (upper->ids != lower->ids) {
    return absl::UnimplementedError(absl::StrCat(
        directory,
        "/sentence_bert_config.json: do_lower_case with a tokenizer "
        "that keeps case is not supported"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<BertEncoder>> BertEncoder::Load(
    const std::string& directory, model::WeightType weights, int threads) {
  if (threads < 0 || threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads must be from 0 to ", kMaxThreads));
  }
  if (threads == 0) {
    threads =
        std::clamp<int>(std::thread::hardware_concurrency(), 1, kMaxThreads);
  }
  absl::StatusOr<SentenceConfig> sentence = ReadSentenceConfig(directory);
  if (!sentence.ok()) return sentence.status();
  const std::string& model_directory = sentence->model_directory;
  absl::StatusOr<model::BertConfig> config =
      model::ReadBertConfig(model_directory);
  if (!config.ok()) return config.status();
  absl::StatusOr<std::unique_ptr<model::Checkpoint>> checkpoint =
      model::Checkpoint::Open(model_directory);
  if (!checkpoint.ok()) return checkpoint.status();

  auto encoder = std::unique_ptr<BertEncoder>(new BertEncoder());
  encoder->pooling_ = sentence->pooling;
  encoder->max_tokens_ =
      sentence->max_tokens == 0
          ? config->max_positions
          : std::min(sentence->max_tokens, config->max_positions);

  const std::string tokenizer_path =
      absl::StrCat(model_directory, "/tokenizer.json");
  absl::StatusOr<std::unique_ptr<model::Tokenizer>> tokenizer =
      model::Tokenizer::FromFile(tokenizer_path, config->vocab_size);
  if (!tokenizer.ok()) return tokenizer.status();
  encoder->tokenizer_ = *std::move(tokenizer);
  if (sentence->lower_case) {
    if (absl::Status s = CheckLowerCase(*encoder->tokenizer_, model_directory);
        !s.ok()) {
      return s;
    }
  }
  // Without [CLS] and [SEP] an empty text would have no token to pool.
  absl::StatusOr<std::vector<int32_t>> empty = encoder->TokenIds("");
  if (!empty.ok()) return empty.status();
  if (empty->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        tokenizer_path, ": post_processor adds no special tokens"));
  }

  encoder->pool_ = std::make_unique<kernels::ThreadPool>(threads);
  absl::StatusOr<std::unique_ptr<model::BertModel>> model =
      model::BertModel::Load(*std::move(checkpoint), *config, weights,
                             encoder->pool_.get());
  if (!model.ok()) return model.status();
  encoder->model_ = *std::move(model);
  const std::string settings = absl::StrCat(
      "braid-bert-1 bits=", encoder->model_->weight_bits(),
      " heads=", config->num_heads, " epsilon=", config->layer_norm_epsilon,
      " pooling=", sentence->pooling == Pooling::kMean ? "mean" : "cls",
      " max_tokens=", encoder->max_tokens_);
  absl::StatusOr<std::string> fingerprint = EncoderFingerprint(
      encoder->model_->checkpoint(), tokenizer_path, settings);
  if (!fingerprint.ok()) return fingerprint.status();
  const int bits = encoder->model_->weight_bits();
  encoder->fingerprint_ =
      absl::StrCat("bert-", bits == 32 ? "f" : "int", bits, ":", *fingerprint);
  return encoder;
}

absl::StatusOr<std::vector<int32_t>> BertEncoder::TokenIds(
    absl::string_view text) const {
  model::EncodeOptions options;
  options.max_tokens = max_tokens_;
  absl::StatusOr<model::TokenEncoding> encoding =
      tokenizer_->Encode(text, options);
  if (!encoding.ok()) return encoding.status();
  return std::move(encoding->ids);
}

absl::StatusOr<std::vector<uint32_t>> BertEncoder::TokenStarts(
    absl::string_view text) const {
  model::EncodeOptions options;
  options.add_special_tokens = false;
  options.with_spans = true;
  absl::StatusOr<model::TokenEncoding> encoding =
      tokenizer_->Encode(text, options);
  if (!encoding.ok()) return encoding.status();
  std::vector<uint32_t> starts;
  starts.reserve(encoding->spans.size());
  for (const model::TokenSpan& span : encoding->spans) {
    starts.push_back(span.begin);
  }
  return starts;
}

absl::StatusOr<std::vector<std::vector<int32_t>>> BertEncoder::Tokenize(
    absl::Span<const absl::string_view> texts) const {
  std::vector<std::vector<int32_t>> ids(texts.size());
  std::mutex mutex;
  absl::Status error;  // of the first text that has one
  size_t error_index = texts.size();
  pool_->ParallelFor(texts.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      absl::StatusOr<std::vector<int32_t>> text_ids = TokenIds(texts[i]);
      if (text_ids.ok()) {
        ids[i] = *std::move(text_ids);
        continue;
      }
      const std::lock_guard<std::mutex> lock(mutex);
      if (i < error_index) {
        error_index = i;
        error = text_ids.status();
      }
    }
  });
  if (!error.ok()) {
    return absl::Status(error.code(), absl::StrCat("text ", error_index, ": ",
                                                   error.message()));
  }
  return ids;
}

absl::Status BertEncoder::Pool(const float* hidden, size_t tokens,
                               float* out) const {
  const size_t dim = dimension();
  std::memcpy(out, hidden, dim * sizeof(float));
  if (pooling_ == Pooling::kMean) {
    for (size_t t = 1; t < tokens; ++t) {
      kernels::AddScaled(1.0f, hidden + t * dim, out, dim);
    }
    kernels::Scale(1.0f / static_cast<float>(tokens), out, out, dim);
  }
  const float norm = std::sqrt(kernels::Dot(out, out, dim));
  if (!std::isfinite(norm) || norm < 1e-12f) {
    return absl::InternalError(
        "the encoder gave a vector without direction: its weights are damaged");
  }
  kernels::Scale(1.0f / norm, out, out, dim);
  return absl::OkStatus();
}

absl::Status BertEncoder::Embed(absl::Span<const absl::string_view> texts,
                                float* out) const {
  const size_t dim = dimension();
  model::BertModel::Workspace workspace;
  std::vector<float> hidden;
  std::vector<int32_t> batch;
  std::vector<size_t> offsets;
  for (size_t first = 0; first < texts.size(); first += kTextsAtOnce) {
    absl::StatusOr<std::vector<std::vector<int32_t>>> ids =
        Tokenize(texts.subspan(first, kTextsAtOnce));
    if (!ids.ok()) return ids.status();

    // By length: sequences that run together are alike, so threads end
    // together.
    std::vector<size_t> order(ids->size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return (*ids)[a].size() > (*ids)[b].size();
    });
    for (size_t begin = 0; begin < order.size();) {
      batch.clear();
      offsets.assign(1, 0);
      size_t end = begin;
      while (end < order.size()) {
        const std::vector<int32_t>& sequence = (*ids)[order[end]];
        if (end > begin && batch.size() + sequence.size() > kBatchTokens) break;
        batch.insert(batch.end(), sequence.begin(), sequence.end());
        offsets.push_back(batch.size());
        ++end;
      }
      hidden.resize(std::max(hidden.size(), batch.size() * dim));
      if (absl::Status s =
              model_->Forward({.ids = batch, .offsets = offsets}, pool_.get(),
                              &workspace, hidden.data());
          !s.ok()) {
        return s;
      }
      for (size_t i = begin; i < end; ++i) {
        const size_t offset = offsets[i - begin];
        if (absl::Status s = Pool(hidden.data() + offset * dim,
                                  offsets[i - begin + 1] - offset,
                                  out + (first + order[i]) * dim);
            !s.ok()) {
          return s;
        }
      }
      begin = end;
    }
  }
  return absl::OkStatus();
}

}  // namespace braid::retrieval
