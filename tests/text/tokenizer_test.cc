#include "generation/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "generation/checkpoint/json_file.h"
#include "generation/text/detokenizer.h"
#include "tests/checkpoint/test_directory.h"
#include "tests/text/tiny_tokenizer.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

std::string WriteTemp(const std::string& name, const std::string& text) {
  const std::string path = TestPath(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::unique_ptr<Tokenizer> Tiny() {
  auto tokenizer = Tokenizer::FromFile(
      WriteTemp("tiny_tokenizer.json", TinyTokenizerJson().dump()));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::vector<int32_t> Ids(const Tokenizer& tokenizer, absl::string_view text,
                         EncodeOptions options) {
  auto encoding = tokenizer.Encode(text, options);
  EXPECT_TRUE(encoding.ok()) << encoding.status();
  return encoding.ok() ? encoding->ids : std::vector<int32_t>();
}

TEST(TokenizerTest, MergesInOrder) {
  const auto tokenizer = Tiny();
  ASSERT_NE(tokenizer, nullptr);
  // "the" and " the" are merged, "in" too; "x" stays a byte.
  EXPECT_EQ(Ids(*tokenizer, "the the inx", {}),
            (std::vector<int32_t>{kTinyFirstMergeId + 1, kTinyFirstMergeId + 2,
                                  kTinyFirstByteId + ' ', kTinyFirstMergeId + 3,
                                  kTinyFirstByteId + 'x'}));
}

TEST(TokenizerTest, PlainTextNeverBecomesAControlToken) {
  const auto tokenizer = Tiny();
  ASSERT_NE(tokenizer, nullptr);
  for (const absl::string_view text :
       {"</s>", "<|im_start|>", "<|im_end|>", "<think>", "<s>"}) {
    const std::vector<int32_t> ids = Ids(*tokenizer, text, {});
    EXPECT_GE(*std::min_element(ids.begin(), ids.end()), kTinyFirstByteId)
        << text;
    EXPECT_EQ(*tokenizer->Decode(ids, true), text);
    EncodeOptions trusting;
    trusting.parse_special_tokens = true;
    EXPECT_EQ(Ids(*tokenizer, text, trusting),
              std::vector<int32_t>{tokenizer->TokenToId(text)});
  }
}

// A word-level vocabulary holds its control tokens as ordinary words, so no
// setting of the library keeps text from becoming one.
TEST(TokenizerTest, PlainTextNeverBecomesAControlTokenOfTheVocabulary) {
  nlohmann::json json = TinyTokenizerJson();
  json["pre_tokenizer"] = {{"type", "WhitespaceSplit"}};
  json["decoder"] = nullptr;
  nlohmann::json vocab = {{"[UNK]", 6}, {"<", 7}, {"/s>", 8}, {"hello", 9}};
  json["added_tokens"].push_back({{"id", 6},
                                  {"content", "[UNK]"},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false},
                                  {"special", true}});
  for (const auto& token : json["added_tokens"]) {
    vocab[token["content"].get<std::string>()] = token["id"];
  }
  json["model"] = {
      {"type", "WordLevel"}, {"unk_token", "[UNK]"}, {"vocab", vocab}};
  auto tokenizer =
      Tokenizer::FromFile(WriteTemp("word_level.json", json.dump()));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EncodeOptions options;
  options.with_spans = true;
  auto encoding = (*tokenizer)->Encode("hello </s> hello", options);
  ASSERT_TRUE(encoding.ok()) << encoding.status();
  EXPECT_EQ(encoding->ids, (std::vector<int32_t>{9, 7, 8, 9}));
  EXPECT_EQ(encoding->spans[1].begin, 6u);
  EXPECT_EQ(encoding->spans[2].begin, 7u);
  EXPECT_EQ(encoding->spans[2].end, 10u);
  EXPECT_EQ(encoding->spans[3].begin, 11u);
  EXPECT_EQ(encoding->spans[3].end, 16u);
  // The unknown token is what the model says of any other word.
  EXPECT_EQ(Ids(**tokenizer, "strange", {}), std::vector<int32_t>{6});
}

// It would be a negative id here.
TEST(TokenizerTest, RefusesIdsThatNoModelHas) {
  nlohmann::json json = TinyTokenizerJson();
  json["model"]["vocab"]["the"] = uint32_t{1} << 31;
  const absl::Status status =
      Tokenizer::FromFile(WriteTemp("large_id.json", json.dump())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "2147483648")) << status;
}

// Found by fuzzing: the library panicked on every text.
TEST(TokenizerTest, RefusesAPostProcessorWithoutItsToken) {
  nlohmann::json json = TinyTokenizerJson();
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"pair", nlohmann::json::array()},
      {"special_tokens", nlohmann::json::object()}};
  const absl::Status status =
      Tokenizer::FromFile(WriteTemp("no_token.json", json.dump())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST(TokenizerTest, SpansAreByteOffsets) {
  const auto tokenizer = Tiny();
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "the caf\xC3\xA9 in \xF0\x9F\x98\x80";
  EncodeOptions options;
  options.with_spans = true;
  auto encoding = tokenizer->Encode(text, options);
  ASSERT_TRUE(encoding.ok()) << encoding.status();
  ASSERT_EQ(encoding->spans.size(), encoding->ids.size());
  EXPECT_EQ(encoding->spans.front().begin, 0u);
  EXPECT_EQ(encoding->spans.front().end, 3u);
  for (const TokenSpan& span : encoding->spans) {
    EXPECT_LE(span.begin, span.end);
    EXPECT_LE(span.end, text.size());
  }
  EXPECT_EQ(encoding->spans.back().end, text.size());
}

TEST(TokenizerTest, RoundTripsAndStreamsWholeCharacters) {
  const auto tokenizer = Tiny();
  ASSERT_NE(tokenizer, nullptr);
  const std::string text =
      " the \xF0\x9F\x98\x80 inner caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD\n";
  const std::vector<int32_t> ids = Ids(*tokenizer, text, {});
  EXPECT_EQ(*tokenizer->Decode(ids, true), text);
  Detokenizer stream(tokenizer.get());
  std::string streamed;
  for (const int32_t id : ids) {
    auto piece = stream.Add(id);
    ASSERT_TRUE(piece.ok()) << piece.status();
    EXPECT_EQ(piece->find("\xEF\xBF\xBD"), std::string::npos);
    streamed += *piece;
  }
  streamed += *stream.Finish();
  EXPECT_EQ(streamed, text);
}

TEST(TokenizerTest, StreamsMalformedBytesWithoutStalling) {
  const auto tokenizer = Tiny();
  ASSERT_NE(tokenizer, nullptr);
  Detokenizer stream(tokenizer.get());
  std::string streamed;
  for (int i = 0; i < 100; ++i)
    streamed += *stream.Add(kTinyFirstByteId + 0xFF);
  streamed += *stream.Add(kTinyFirstByteId + 'a');
  streamed += *stream.Finish();
  ASSERT_FALSE(streamed.empty());
  EXPECT_EQ(streamed.back(), 'a');
}

TEST(TokenizerTest, RefusesWhatIsNotATokenizer) {
  EXPECT_EQ(Tokenizer::FromFile("/nonexistent/tokenizer.json").status().code(),
            absl::StatusCode::kNotFound);
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"),
        std::string("{\"model\":{\"type\":\"BPE\"}}"),
        std::string(100000, '[')}) {
    const std::string path = WriteTemp("bad_tokenizer.json", text);
    const absl::Status status = Tokenizer::FromFile(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.message().find(path), absl::string_view::npos) << status;
  }
}

TEST(TokenizerTest, RefusesInvalidUtf8AndIds) {
  const auto tokenizer = Tiny();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Encode("a\xFF", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(tokenizer->Decode({-1}, true).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(tokenizer->TokenToId("no such token"), -1);
  EXPECT_EQ(tokenizer->vocab_size(), 267u);
}

TEST(TokenizerTest, MiniLmEqualsHuggingFace) {
  const std::string path =
      std::string(BRAID_CACHE_DIR) + "/models/all-MiniLM-L6-v2/tokenizer.json";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not there: run setup";
  auto tokenizer = Tokenizer::FromFile(path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  auto golden = ReadJsonObject(
      std::string(BRAID_SOURCE_DIR) + "/tests/text/minilm_golden.json",
      1 << 20);
  ASSERT_TRUE(golden.ok()) << golden.status();
  ASSERT_GE((*golden)["cases"].size(), 16u);
  for (size_t i = 0; i < (*golden)["cases"].size(); ++i) {
    const std::string text = (*golden)["cases"][i][0];
    const std::vector<int32_t> expected = (*golden)["cases"][i][1];
    EXPECT_EQ(Ids(**tokenizer, text, {}), expected) << text;
    EXPECT_EQ(*(*tokenizer)->Count(text), expected.size() - 2) << text;
    EncodeOptions cut;
    cut.max_tokens = 8;
    EXPECT_EQ(Ids(**tokenizer, text, cut),
              (*golden)["truncated_to_8"][i].get<std::vector<int32_t>>())
        << text;
  }
  EncodeOptions none;
  none.max_tokens = 1;
  EXPECT_EQ((*tokenizer)->Encode("text", none).status().code(),
            absl::StatusCode::kInvalidArgument);
  // "[SEP]" in a document is text.
  const std::vector<int32_t> ids = Ids(**tokenizer, "a [SEP] b", {});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 102), 1);
}

TEST(TokenizerTest, FamiliesEqualHuggingFace) {
  const fs::path root = fs::path(BRAID_SHARED_DIR) / "reference" / "tiny";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  int families = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    auto reference =
        ReadJsonObject((entry.path() / "reference.json").string(), 64 << 20);
    ASSERT_TRUE(reference.ok()) << reference.status();
    auto tokenizer =
        Tokenizer::FromFile((entry.path() / "tokenizer.json").string());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    for (const auto& test : (*reference)["tokenizer_cases"]) {
      EncodeOptions options;
      options.add_special_tokens = false;
      EXPECT_EQ(Ids(**tokenizer, test[0].get<std::string>(), options),
                test[1].get<std::vector<int32_t>>())
          << entry.path() << ": " << test[0];
    }
    ++families;
  }
  EXPECT_GE(families, 2);
}

}  // namespace
}  // namespace braid::model
