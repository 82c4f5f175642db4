#include "generation/layers/bert_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "generation/checkpoint/quantize.h"
#include "retrieval/encoder/bert_encoder.h"
#include "tests/encoder/tiny_bert.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<model::BertModel>> LoadTiny(
    const TinyBert& tiny, const std::string& prefix,
    const model::BertConfig& config,
    model::WeightType weights = model::WeightType::kF32) {
  const TempDirectory directory;
  directory.Write("model.safetensors", tiny.Safetensors(prefix));
  absl::StatusOr<std::unique_ptr<model::Checkpoint>> checkpoint =
      model::Checkpoint::Open(directory.path());
  if (!checkpoint.ok()) return checkpoint.status();
  return model::BertModel::Load(*std::move(checkpoint), config, weights,
                                nullptr);
}

TEST(BertModel, AgreesWithScalarForwardPassForEachSequence) {
  const TinyBert tiny;
  const std::vector<std::vector<int32_t>> sequences = {
      {2, 3},
      {2, 4, 7, 3},
      {6},
      {2, 5, 5, 6, 4, 7, 7, 1, 0, 3, 2, 4, 6, 5, 7, 3}};
  std::vector<int32_t> ids;
  std::vector<size_t> offsets = {0};
  for (const std::vector<int32_t>& sequence : sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    offsets.push_back(ids.size());
  }
  for (const char* prefix : {"", "bert."}) {
    auto model = LoadTiny(tiny, prefix, tiny.config());
    ASSERT_TRUE(model.ok()) << model.status();
    const size_t dim = tiny.config().hidden_size;
    std::vector<float> hidden(ids.size() * dim);
    model::BertModel::Workspace workspace;
    kernels::ThreadPool pool(2);
    ASSERT_TRUE((*model)
                    ->Forward({.ids = ids, .offsets = offsets}, &pool,
                              &workspace, hidden.data())
                    .ok());
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::vector<double> expected = tiny.Forward(sequences[s]);
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(hidden[offsets[s] * dim + i], expected[i], 2e-5)
            << "sequence " << s << " value " << i;
      }
    }
  }
}

std::vector<float> Hidden(const model::BertModel& model,
                          const std::vector<int32_t>& ids) {
  std::vector<float> hidden(ids.size() * model.config().hidden_size);
  const std::vector<size_t> offsets = {0, ids.size()};
  model::BertModel::Workspace workspace;
  const absl::Status status = model.Forward({.ids = ids, .offsets = offsets},
                                            nullptr, &workspace, hidden.data());
  EXPECT_TRUE(status.ok()) << status;
  return hidden;
}

double RelativeError(const std::vector<float>& found,
                     const std::vector<double>& expected) {
  double error = 0;
  double squares = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (found[i] - expected[i]) * (found[i] - expected[i]);
    squares += expected[i] * expected[i];
  }
  return std::sqrt(error / squares);
}

TEST(BertModel, InInt8IsCloseToF32AndTheSameFromAQuantisedCheckpoint) {
  const TinyBert tiny;
  const std::vector<int32_t> ids = {2, 4, 7, 5, 6, 5, 3};
  auto on_load = LoadTiny(tiny, "", tiny.config(), model::WeightType::kInt8);
  ASSERT_TRUE(on_load.ok()) << on_load.status();
  EXPECT_EQ((*on_load)->weight_bits(), 8);
  const std::vector<float> hidden = Hidden(**on_load, ids);
  const std::vector<double> expected = tiny.Forward(ids);
  EXPECT_LT(RelativeError(hidden, expected), 0.05);

  const TempDirectory stored, out;
  stored.Write("config.json", tiny.ConfigJson());
  stored.Write("model.safetensors", tiny.Safetensors(""));
  const std::string quantised = out.path() + "/int8";
  const auto report = model::QuantizeCheckpoint(
      stored.path(), quantised,
      {.format = *model::DefaultFormat(model::WeightType::kInt8)});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->matrices, 1 + 2 * 6);  // word embeddings, two layers
  const auto config = model::ReadBertConfig(quantised);
  ASSERT_TRUE(config.ok()) << config.status();
  const auto load = [&](model::WeightType weights) {
    auto checkpoint = model::Checkpoint::Open(quantised);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return model::BertModel::Load(*std::move(checkpoint), *config, weights,
                                  nullptr);
  };
  const auto again = load(model::WeightType::kStored);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->weight_bits(), 8);
  const std::vector<float> stored_hidden = Hidden(**again, ids);
  // The embeddings are codes as well now.
  EXPECT_LT(RelativeError(stored_hidden, expected), 0.08);
  EXPECT_TRUE(load(model::WeightType::kInt8).ok());
  EXPECT_THAT(std::string(load(model::WeightType::kF32).status().message()),
              HasSubstr("cannot be loaded as f32"));
  EXPECT_THAT(std::string(model::QuantizeCheckpoint(
                              quantised, out.path() + "/twice", {.format = {}})
                              .status()
                              .message()),
              HasSubstr("quantised already"));
}

TEST(BertModel, CodesWithoutTheirScalesAreAnError) {
  const TinyBert tiny;
  const TempDirectory stored, out;
  stored.Write("config.json", tiny.ConfigJson());
  stored.Write("model.safetensors", tiny.Safetensors(""));
  const std::string quantised = out.path() + "/int8";
  ASSERT_TRUE(
      model::QuantizeCheckpoint(stored.path(), quantised, {.format = {}}).ok());
  auto checkpoint = model::Checkpoint::Open(quantised);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  // As if config.json had lost its quantization_config.
  const absl::Status status =
      model::BertModel::Load(*std::move(checkpoint), tiny.config(),
                             model::WeightType::kStored, nullptr)
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("U8"));
}

TEST(BertModel, RefusesIdsAndLengthsThatItHasNoRowsFor) {
  const TinyBert tiny;
  auto model = LoadTiny(tiny, "", tiny.config());
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<float> hidden(17 * 12);
  model::BertModel::Workspace workspace;
  const auto run = [&](const std::vector<int32_t>& ids,
                       const std::vector<uint8_t>& types = {}) {
    const std::vector<size_t> offsets = {0, ids.size()};
    return (*model)->Forward({.ids = ids, .offsets = offsets, .types = types},
                             nullptr, &workspace, hidden.data());
  };
  EXPECT_TRUE(run({2, 3}).ok());
  EXPECT_THAT(std::string(run({2, 8, 3}).message()), HasSubstr("token id 8"));
  EXPECT_THAT(std::string(run({2, -1, 3}).message()), HasSubstr("token id -1"));
  EXPECT_THAT(std::string(run(std::vector<int32_t>(17, 2)).message()),
              HasSubstr("17 tokens"));
  EXPECT_TRUE(run({2, 3}, {0, 1}).ok());
  EXPECT_THAT(std::string(run({2, 3}, {0, 2}).message()),
              HasSubstr("token type 2"));
  EXPECT_THAT(std::string(run({2, 3}, {0}).message()),
              HasSubstr("1 token types for 2 tokens"));
}

TEST(BertModel, FirstTokensAloneAreTheSame) {
  const TinyBert tiny;
  const std::vector<int32_t> ids = {2, 4, 7, 3, 6, 2, 5, 5, 6, 3};
  const std::vector<uint8_t> types = {0, 0, 1, 1, 1, 0, 0, 1, 1, 1};
  const std::vector<size_t> offsets = {0, 4, 5, 10};
  auto model = LoadTiny(tiny, "", tiny.config());
  ASSERT_TRUE(model.ok()) << model.status();
  const size_t dim = tiny.config().hidden_size;
  std::vector<float> all(ids.size() * dim);
  std::vector<float> first(ids.size() * dim);
  model::BertModel::Workspace workspace;
  model::BertModel::Input input{.ids = ids, .offsets = offsets, .types = types};
  ASSERT_TRUE((*model)->Forward(input, nullptr, &workspace, all.data()).ok());
  input.first_only = true;
  ASSERT_TRUE((*model)->Forward(input, nullptr, &workspace, first.data()).ok());
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const std::vector<double> expected = tiny.Forward(
        {ids.begin() + offsets[s], ids.begin() + offsets[s + 1]},
        {types.begin() + offsets[s], types.begin() + offsets[s + 1]});
    for (size_t i = 0; i < dim; ++i) {
      EXPECT_EQ(first[s * dim + i], all[offsets[s] * dim + i]);
      EXPECT_NEAR(first[s * dim + i], expected[i], 2e-5);
    }
  }
}

TEST(BertModel, NamesTheTensorThatDoesNotFit) {
  TinyBert missing;
  missing.tensors().erase("encoder.layer.1.output.dense.bias");
  absl::Status status = LoadTiny(missing, "", missing.config()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("encoder.layer.1.output.dense.bias"));

  const TinyBert tiny;
  model::BertConfig wider = tiny.config();
  wider.intermediate_size = 24;
  status = LoadTiny(tiny, "", wider).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("encoder.layer.0.intermediate.dense.weight"));

  model::BertConfig more_words = tiny.config();
  more_words.vocab_size = 9;
  status = LoadTiny(tiny, "", more_words).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("embeddings.word_embeddings.weight"));
}

// Pools and normalises the scalar forward pass.
std::vector<double> Pooled(const TinyBert& tiny,
                           const std::vector<int32_t>& ids, bool mean) {
  const size_t dim = tiny.config().hidden_size;
  const std::vector<double> hidden = tiny.Forward(ids);
  std::vector<double> vector(dim);
  double squares = 0.0;
  for (size_t i = 0; i < dim; ++i) {
    for (size_t t = 0; t < (mean ? ids.size() : 1); ++t) {
      vector[i] += hidden[t * dim + i];
    }
    squares += vector[i] * vector[i];
  }
  for (double& value : vector) value /= std::sqrt(squares);
  return vector;
}

TEST(BertEncoder, PoolsByMeanOrFirstTokenAndCutsLongTexts) {
  const TinyBert tiny;
  for (const bool mean : {true, false}) {
    const TempDirectory directory;
    directory.Write("config.json", tiny.ConfigJson());
    directory.Write("model.safetensors", tiny.Safetensors(""));
    directory.Write("tokenizer.json", TinyBert::TokenizerJson());
    directory.Write("sentence_bert_config.json", R"({"max_seq_length": 5})");
    directory.Write("modules.json", R"([
      {"path": "", "type": "sentence_transformers.models.Transformer"},
      {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
    directory.Write("1_Pooling/config.json",
                    mean ? R"({"pooling_mode": "mean"})"
                         : R"({"pooling_mode_cls_token": true})");
    auto encoder =
        BertEncoder::Load(directory.path(), model::WeightType::kF32, 2);
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    EXPECT_EQ((*encoder)->dimension(), 12u);
    EXPECT_EQ((*encoder)->max_tokens(), 5u);
    const std::vector<absl::string_view> texts = {
        "Redish blue", "", "purple", "blue green red blue green red", "[SEP]"};
    // The last: a control token written out is three unknown words.
    const std::vector<std::vector<int32_t>> ids = {
        {2, 4, 7, 6, 3}, {2, 3}, {2, 1, 3}, {2, 6, 5, 4, 3}, {2, 1, 1, 1, 3}};
    std::vector<float> vectors(texts.size() * 12);
    ASSERT_TRUE((*encoder)->Embed(texts, vectors.data()).ok());
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(*(*encoder)->TokenIds(texts[i]), ids[i]) << texts[i];
      const std::vector<double> expected = Pooled(tiny, ids[i], mean);
      for (size_t j = 0; j < expected.size(); ++j) {
        EXPECT_NEAR(vectors[i * 12 + j], expected[j], 1e-5) << texts[i];
      }
    }
    EXPECT_EQ(*(*encoder)->TokenStarts("a redish  blue red green"),
              (std::vector<uint32_t>{0, 2, 5, 10, 15, 19}));
  }
}

TEST(BertEncoder, RefusesATokenizerLargerThanTheVocabulary) {
  const TinyBert tiny;
  std::string config = tiny.ConfigJson();
  const size_t at = config.find("\"vocab_size\":8");
  ASSERT_NE(at, std::string::npos);
  config.replace(at, 14, "\"vocab_size\":7");
  const TempDirectory directory;
  directory.Write("config.json", config);
  directory.Write("model.safetensors", tiny.Safetensors(""));
  directory.Write("tokenizer.json", TinyBert::TokenizerJson());
  const absl::Status status =
      BertEncoder::Load(directory.path(), model::WeightType::kF32, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer.json"));
}

TEST(BertEncoder, DamagedWeightsAreAnError) {
  TinyBert tiny;
  tiny.tensors()["encoder.layer.1.output.dense.bias"].values[3] = NAN;
  const TempDirectory directory;
  directory.Write("config.json", tiny.ConfigJson());
  directory.Write("model.safetensors", tiny.Safetensors(""));
  directory.Write("tokenizer.json", TinyBert::TokenizerJson());
  auto encoder =
      BertEncoder::Load(directory.path(), model::WeightType::kF32, 1);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  float vector[12];
  EXPECT_EQ((*encoder)->Embed({"red"}, vector).code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace braid::retrieval
