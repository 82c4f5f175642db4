#include "fusion/rerank/cross_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/encoder/tiny_bert.h"
#include "tests/steady.h"

namespace braid::fusion {
namespace {

using retrieval::TempDirectory;
using retrieval::TinyBert;
using retrieval::TinyTensor;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// TinyBert's words.
constexpr int32_t kCls = 2, kSep = 3, kRed = 4, kGreen = 5, kBlue = 6;

// Questions of up to 4 tokens in pairs of up to 16.
constexpr CrossEncoderOptions kOptions = {
    .threads = 2, .max_query_tokens = 4, .max_pair_tokens = 64};

TinyBert MakeModel(int64_t labels = 1) {
  TinyBert tiny;
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const int64_t hidden = tiny.config().hidden_size;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    TinyTensor tensor{std::move(shape), {}};
    for (int64_t i = 0; i < size; ++i) tensor.values.push_back(uniform(random));
    tiny.tensors()[name] = std::move(tensor);
  };
  add("pooler.dense.weight", {hidden, hidden});
  add("pooler.dense.bias", {hidden});
  add("classifier.weight", {labels, hidden});
  add("classifier.bias", {labels});
  return tiny;
}

void Write(const TinyBert& tiny, const TempDirectory& directory) {
  directory.Write("config.json", tiny.ConfigJson());
  directory.Write("tokenizer.json", TinyBert::TokenizerJson());
  directory.Write("model.safetensors", tiny.Safetensors("bert."));
}

// The definition, in double.
double Expected(const TinyBert& tiny, const std::vector<int32_t>& query,
                const std::vector<int32_t>& passage) {
  std::vector<int32_t> ids = {kCls};
  ids.insert(ids.end(), query.begin(), query.end());
  ids.push_back(kSep);
  std::vector<uint8_t> types(ids.size(), 0);
  ids.insert(ids.end(), passage.begin(), passage.end());
  ids.push_back(kSep);
  types.resize(ids.size(), 1);
  std::vector<double> first = tiny.Forward(ids, types);
  first.resize(static_cast<size_t>(tiny.config().hidden_size));
  std::vector<double> pooled = tiny.Linear("pooler.dense", first);
  for (double& value : pooled) value = std::tanh(value);
  return tiny.Linear("classifier", pooled)[0];
}

absl::StatusOr<std::vector<float>> Score(
    const CrossEncoder& encoder, const std::string& query,
    const std::vector<RerankInput>& inputs,
    std::chrono::steady_clock::time_point deadline = kNever) {
  return encoder.Score(query, inputs, deadline, std::stop_token());
}

class CrossEncoderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write(tiny_, directory_);
    auto loaded = CrossEncoder::Load(directory_.path(), kOptions);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    encoder_ = *std::move(loaded);
  }
  TinyBert tiny_ = MakeModel();
  TempDirectory directory_;
  std::unique_ptr<CrossEncoder> encoder_;
};

TEST_F(CrossEncoderTest, AgreesWithTheDefinition) {
  const auto logits =
      Score(*encoder_, "red green",
            {{"", "blue"}, {"green", "red blue"}, {"", ""}, {"red", "[SEP]"}});
  ASSERT_TRUE(logits.ok()) << logits.status();
  ASSERT_THAT(*logits, SizeIs(4));
  const std::vector<int32_t> query = {kRed, kGreen};
  constexpr int32_t kUnknown = 1;  // of punctuation
  EXPECT_NEAR((*logits)[0], Expected(tiny_, query, {kBlue}), 1e-4);
  EXPECT_NEAR((*logits)[1],
              Expected(tiny_, query, {kGreen, kUnknown, kRed, kBlue}), 1e-4);
  EXPECT_NEAR((*logits)[2], Expected(tiny_, query, {}), 1e-4);
  // "[SEP]" written out is punctuation and a word, not the token.
  EXPECT_NEAR(
      (*logits)[3],
      Expected(tiny_, query, {kRed, kUnknown, kUnknown, kUnknown, kUnknown}),
      1e-4);
}

TEST_F(CrossEncoderTest, CutsTheQuestionAndTheEndOfThePassage) {
  const auto logits = Score(
      *encoder_, "red red red red green green",
      {{"", "blue blue blue blue blue blue blue blue blue green green green"}});
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_NEAR((*logits)[0],
              Expected(tiny_, std::vector<int32_t>(4, kRed),
                       std::vector<int32_t>(9, kBlue)),
              1e-4);
}

TEST_F(CrossEncoderTest, AScoreDoesNotDependOnTheOthers) {
  std::vector<RerankInput> inputs;
  const char* const texts[] = {"red", "green blue", "blue red green",
                               "red red blue green blue"};
  for (int i = 0; i < 300; ++i) inputs.push_back({"", texts[i % 4]});
  const auto all = Score(*encoder_, "green", inputs);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_THAT(*all, SizeIs(300));
  for (size_t i = 0; i < 4; ++i) {
    const auto alone = Score(*encoder_, "green", {inputs[i]});
    for (size_t j = i; j < all->size(); j += 4) {
      ASSERT_EQ((*all)[j], (*alone)[0]) << j;
    }
  }
}

TEST_F(CrossEncoderTest, StopsAtTheDeadlineAndOnRequest) {
  const std::vector<RerankInput> inputs(2000, RerankInput{"", "red green"});
  // The first batch is always tried: how long it takes is not known before.
  const auto late = Score(*encoder_, "blue", inputs, SteadyIn(-absl::Hours(1)));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_LT(late->size(), inputs.size());
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(absl::IsCancelled(
      encoder_->Score("blue", inputs, kNever, stop.get_token()).status()));
}

TEST_F(CrossEncoderTest, NothingToScoreAndTextThatIsNotUtf8) {
  EXPECT_THAT(*Score(*encoder_, "red", {}), IsEmpty());
  EXPECT_TRUE(absl::IsInvalidArgument(
      Score(*encoder_, "red", {{"", "\xff\xfe"}}).status()));
}

TEST_F(CrossEncoderTest, DamagedWeightsAreAnError) {
  TinyBert damaged = MakeModel();
  damaged.tensors()["classifier.bias"].values[0] = NAN;
  const TempDirectory directory;
  Write(damaged, directory);
  const auto loaded = CrossEncoder::Load(directory.path(), kOptions);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_FALSE(Score(**loaded, "red", {{"", "blue"}}).ok());
}

TEST(CrossEncoderLoadTest, NamesWhatDoesNotFit) {
  const auto load = [](const TinyBert& tiny) {
    const TempDirectory directory;
    Write(tiny, directory);
    return std::string(
        CrossEncoder::Load(directory.path(), kOptions).status().message());
  };
  EXPECT_THAT(load(MakeModel(2)), HasSubstr("classifier.weight"));
  EXPECT_THAT(load(TinyBert()), HasSubstr("bert.pooler.dense.weight"));
  const TempDirectory directory;
  Write(MakeModel(), directory);
  EXPECT_THAT(
      std::string(CrossEncoder::Load(directory.path(), {.max_query_tokens = 14})
                      .status()
                      .message()),
      HasSubstr("no room"));
}

}  // namespace
}  // namespace braid::fusion
