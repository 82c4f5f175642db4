#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "generation/checkpoint/bert_config.h"
#include "nlohmann/json.hpp"
#include "retrieval/encoder/bert_encoder.h"
#include "retrieval/encoder/sentence_config.h"
#include "tests/encoder/tiny_bert.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;

// Reads the tiny model's config.json with one field replaced.
absl::Status ReadWith(const char* field, const nlohmann::json& value) {
  nlohmann::json json = nlohmann::json::parse(TinyBert().ConfigJson());
  if (value.is_null()) {
    json.erase(field);
  } else {
    json[field] = value;
  }
  const TempDirectory directory;
  directory.Write("config.json", json.dump());
  return model::ReadBertConfig(directory.path()).status();
}

TEST(ReadBertConfig, ReadsEveryField) {
  const TinyBert tiny;
  const TempDirectory directory;
  directory.Write("config.json", tiny.ConfigJson());
  const absl::StatusOr<model::BertConfig> config =
      model::ReadBertConfig(directory.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocab_size, 8);
  EXPECT_EQ(config->hidden_size, 12);
  EXPECT_EQ(config->num_layers, 2);
  EXPECT_EQ(config->num_heads, 3);
  EXPECT_EQ(config->intermediate_size, 20);
  EXPECT_EQ(config->max_positions, 16);
  EXPECT_EQ(config->type_vocab_size, 2);
  EXPECT_EQ(config->layer_norm_epsilon, 1e-12f);
}

TEST(ReadBertConfig, NamesTheFieldOfAHostileConfig) {
  struct Case {
    const char* field;
    nlohmann::json value;
  };
  for (const Case& c :
       {Case{"hidden_size", 0}, Case{"hidden_size", -12},
        Case{"hidden_size", 1e300}, Case{"hidden_size", "12"},
        Case{"hidden_size", 13}, Case{"vocab_size", 18446744073709551615u},
        Case{"vocab_size", nullptr}, Case{"num_hidden_layers", 1 << 30},
        Case{"num_attention_heads", 0}, Case{"intermediate_size", 4294967296},
        Case{"max_position_embeddings", 1 << 20}, Case{"type_vocab_size", 0},
        Case{"layer_norm_eps", -1.0}, Case{"layer_norm_eps", "small"},
        Case{"hidden_act", 3}, Case{"model_type", nullptr}}) {
    const absl::Status status = ReadWith(c.field, c.value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
        << c.field << " " << c.value;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.field));
    EXPECT_THAT(std::string(status.message()), HasSubstr("config.json"));
  }
}

TEST(ReadBertConfig, NamesWhatItDoesNotImplement) {
  for (const char* family : {"roberta", "xlm-roberta", "mpnet", "gpt2"}) {
    const absl::Status status = ReadWith("model_type", family);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()), HasSubstr(family));
  }
  EXPECT_EQ(ReadWith("hidden_act", "gelu_new").code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_EQ(ReadWith("position_embedding_type", "relative_key").code(),
            absl::StatusCode::kUnimplemented);
}

TEST(ReadSentenceConfig, BareModelPoolsByMean) {
  const TempDirectory directory;
  const absl::StatusOr<SentenceConfig> config =
      ReadSentenceConfig(directory.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model_directory, directory.path());
  EXPECT_EQ(config->pooling, Pooling::kMean);
  EXPECT_EQ(config->max_tokens, 0);
}

TEST(ReadSentenceConfig, FollowsThePathsOfItsModules) {
  const TempDirectory directory;
  directory.Write("modules.json", R"([
    {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
    {"path": "pool", "type": "sentence_transformers.models.Pooling"},
    {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])");
  directory.Write("0_Transformer/sentence_bert_config.json",
                  R"({"max_seq_length": 128, "do_lower_case": true})");
  directory.Write("pool/config.json",
                  R"({"pooling_mode_cls_token": true,
                      "pooling_mode_mean_tokens": false})");
  const absl::StatusOr<SentenceConfig> config =
      ReadSentenceConfig(directory.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model_directory, directory.path() + "/0_Transformer");
  EXPECT_EQ(config->pooling, Pooling::kCls);
  EXPECT_EQ(config->max_tokens, 128);
  EXPECT_TRUE(config->lower_case);
}

constexpr char kTransformer[] =
    R"({"path": "", "type": "sentence_transformers.models.Transformer"})";
constexpr char kPooling[] =
    R"({"path": "p", "type": "sentence_transformers.models.Pooling"})";

absl::Status ReadModules(const std::string& modules, const std::string& pooling,
                         const std::string& transformer = "{}") {
  const TempDirectory directory;
  directory.Write("modules.json", modules);
  directory.Write("p/config.json", pooling);
  directory.Write("sentence_bert_config.json", transformer);
  return ReadSentenceConfig(directory.path()).status();
}

TEST(ReadSentenceConfig, RefusesWhatIsMalformed) {
  const std::string both =
      std::string("[") + kTransformer + "," + kPooling + "]";
  const std::string mean = R"({"pooling_mode": "mean"})";
  ASSERT_TRUE(ReadModules(both, mean).ok());
  const auto invalid = [](const absl::Status& status) {
    return status.code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(invalid(ReadModules("{}", mean)));
  EXPECT_TRUE(invalid(ReadModules("[", mean)));
  EXPECT_TRUE(invalid(ReadModules("[]", mean)));
  EXPECT_TRUE(invalid(ReadModules("[1]", mean)));
  EXPECT_TRUE(invalid(
      ReadModules(R"([{"path": "../x", "type": "a.Transformer"}])", mean)));
  EXPECT_TRUE(invalid(
      ReadModules(R"([{"path": "/etc", "type": "a.Transformer"}])", mean)));
  EXPECT_TRUE(invalid(ReadModules(both, "{}")));
  EXPECT_TRUE(invalid(ReadModules(both, R"({"pooling_mode_mean_tokens": 1})")));
  EXPECT_TRUE(invalid(ReadModules(both, R"({"pooling_mode_mean_tokens": true,
                                            "pooling_mode_cls_token": true})")));
  EXPECT_TRUE(invalid(ReadModules(both, mean, R"({"max_seq_length": 0})")));
  EXPECT_TRUE(invalid(ReadModules(both, mean, R"({"max_seq_length": 1e9})")));
  EXPECT_TRUE(invalid(ReadModules(both, mean, R"({"do_lower_case": 1})")));
}

TEST(ReadSentenceConfig, NamesWhatItDoesNotImplement) {
  const std::string mean = R"({"pooling_mode": "mean"})";
  const std::string dense =
      std::string("[") + kTransformer + "," + kPooling +
      R"(, {"path": "d", "type": "sentence_transformers.models.Dense"}])";
  EXPECT_EQ(ReadModules(dense, mean).code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(ReadModules(dense, mean).message()),
              HasSubstr("Dense"));
  EXPECT_EQ(ReadModules(std::string("[") + kTransformer + "]", mean).code(),
            absl::StatusCode::kUnimplemented);
  const std::string both =
      std::string("[") + kTransformer + "," + kPooling + "]";
  EXPECT_EQ(ReadModules(both, R"({"pooling_mode_max_tokens": true})").code(),
            absl::StatusCode::kUnimplemented);
}

TEST(BertEncoder, MissingDirectoryIsNotFound) {
  EXPECT_EQ(BertEncoder::Load("/nonexistent/model", model::WeightType::kF32, 1)
                .status()
                .code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(BertEncoder::Load("/nonexistent/model", model::WeightType::kF32, -1)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace braid::retrieval
