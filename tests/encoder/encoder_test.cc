#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "retrieval/encoder/bert_encoder.h"
#include "tests/encoder/reference_file.h"
#include "tests/encoder/tiny_bert.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;

constexpr char kModel[] = BRAID_CACHE_DIR "/models/all-MiniLM-L6-v2";

class MiniLmTest : public ::testing::TestWithParam<model::WeightType> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModel)) {
      GTEST_SKIP() << kModel << " is not there: run ./deploy/setup";
    }
    absl::StatusOr<std::unique_ptr<BertEncoder>> encoder =
        BertEncoder::Load(kModel, GetParam(), 2);
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    encoder_ = *std::move(encoder);
    for (ReferenceText& reference : ReadReference(
             BRAID_SOURCE_DIR "/tests/encoder/data/reference.jsonl")) {
      storage_.push_back(std::move(reference.text));
    }
    for (const std::string& text : storage_) texts_.push_back(text);
    ASSERT_FALSE(texts_.empty());
  }

  static std::vector<float> Embed(const BertEncoder& encoder,
                                  const std::vector<absl::string_view>& texts) {
    std::vector<float> vectors(texts.size() * encoder.dimension());
    const absl::Status status = encoder.Embed(texts, vectors.data());
    EXPECT_TRUE(status.ok()) << status;
    return vectors;
  }

  std::unique_ptr<BertEncoder> encoder_;
  std::vector<std::string> storage_;
  std::vector<absl::string_view> texts_;
};

TEST_P(MiniLmTest, KnowsItsShape) {
  EXPECT_EQ(encoder_->dimension(), 384u);
  EXPECT_EQ(encoder_->max_tokens(), 256u);
  EXPECT_EQ(encoder_->fingerprint().find(
                absl::StrCat("bert-", model::WeightTypeName(GetParam()), ":")),
            0u);
}

TEST_P(MiniLmTest, VectorIsTheSameBitsInAnyBatchAndForAnyThreads) {
  const std::vector<float> together = Embed(*encoder_, texts_);
  const auto one_thread = BertEncoder::Load(kModel, GetParam(), 1);
  ASSERT_TRUE(one_thread.ok()) << one_thread.status();
  EXPECT_EQ(together, Embed(**one_thread, texts_));
  std::vector<float> alone;
  for (const absl::string_view text : texts_) {
    const std::vector<float> vector = Embed(*encoder_, {text});
    alone.insert(alone.end(), vector.begin(), vector.end());
  }
  EXPECT_EQ(together, alone);
}

TEST_P(MiniLmTest, ConcurrentCallersGetTheSameVectors) {
  texts_.resize(texts_.size() / 2);  // the short ones
  const std::vector<float> expected = Embed(*encoder_, texts_);
  std::vector<std::vector<float>> found(3);
  std::vector<std::thread> callers;
  for (std::vector<float>& vectors : found) {
    callers.emplace_back([&] { vectors = Embed(*encoder_, texts_); });
  }
  for (std::thread& caller : callers) caller.join();
  for (const std::vector<float>& vectors : found) EXPECT_EQ(vectors, expected);
}

TEST_P(MiniLmTest, EmptyBatchIsFine) {
  EXPECT_TRUE(encoder_->Embed({}, nullptr).ok());
}

TEST_P(MiniLmTest, TextThatIsNotUtf8IsNamed) {
  float vectors[3 * 384];
  const absl::Status status =
      encoder_->Embed({"fine", "broken \xff\xfe", "\xc3"}, vectors);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("text 1"));
  EXPECT_EQ(encoder_->TokenStarts("\xff").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(MiniLmTest, TokenStartsCountTokensWithoutLimitAndLieOnCharacters) {
  for (const absl::string_view text : texts_) {
    const absl::StatusOr<std::vector<uint32_t>> starts =
        encoder_->TokenStarts(text);
    ASSERT_TRUE(starts.ok()) << starts.status();
    const size_t ids = encoder_->TokenIds(text)->size();
    // [CLS] and [SEP] come on top, up to the limit.
    EXPECT_EQ(ids, std::min<size_t>(starts->size() + 2, 256)) << text;
    uint32_t previous = 0;
    for (const uint32_t start : *starts) {
      EXPECT_GE(start, previous) << text;
      ASSERT_LT(start, text.size()) << text;
      EXPECT_NE(static_cast<uint8_t>(text[start]) & 0xC0, 0x80) << text;
      previous = start;
    }
  }
}

TEST_P(MiniLmTest, FingerprintFollowsWhatChangesTheVectors) {
  const auto again = BertEncoder::Load(kModel, GetParam(), 1);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->fingerprint(), encoder_->fingerprint());

  const TempDirectory directory;
  for (const char* name :
       {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::create_symlink(std::string(kModel) + "/" + name,
                                    directory.path() + "/" + name);
  }
  directory.Write("sentence_bert_config.json", R"({"max_seq_length": 256})");
  const auto same = BertEncoder::Load(directory.path(), GetParam(), 1);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ((*same)->fingerprint(), encoder_->fingerprint());

  directory.Write("sentence_bert_config.json", R"({"max_seq_length": 128})");
  const auto shorter = BertEncoder::Load(directory.path(), GetParam(), 1);
  ASSERT_TRUE(shorter.ok()) << shorter.status();
  EXPECT_NE((*shorter)->fingerprint(), encoder_->fingerprint());
}

TEST(MiniLmPrecision, IsAnotherEncoder) {
  if (!std::filesystem::exists(kModel)) {
    GTEST_SKIP() << kModel << " is not there: run ./deploy/setup";
  }
  const auto f32 = BertEncoder::Load(kModel, model::WeightType::kF32, 1);
  const auto int8 = BertEncoder::Load(kModel, model::WeightType::kInt8, 1);
  ASSERT_TRUE(f32.ok()) << f32.status();
  ASSERT_TRUE(int8.ok()) << int8.status();
  EXPECT_NE((*f32)->fingerprint(), (*int8)->fingerprint());
}

INSTANTIATE_TEST_SUITE_P(Weights, MiniLmTest,
                         ::testing::Values(model::WeightType::kF32,
                                           model::WeightType::kInt8),
                         [](const auto& weights) {
                           return std::string(
                               model::WeightTypeName(weights.param));
                         });

}  // namespace
}  // namespace braid::retrieval
