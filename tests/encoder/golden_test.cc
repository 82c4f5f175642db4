// all-MiniLM-L6-v2 against sentence-transformers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "retrieval/encoder/bert_encoder.h"
#include "tests/encoder/reference_file.h"

namespace braid::retrieval {
namespace {

constexpr char kModel[] = BRAID_CACHE_DIR "/models/all-MiniLM-L6-v2";

// The reference vectors are rounded to f16, which alone costs up to 1e-7.
constexpr double kMinCosine = 0.99999;
// Of weights and activations in 8 bits.
constexpr double kMinCosineInt8 = 0.995;

void ExpectAgreement(const std::vector<ReferenceText>& references,
                     model::WeightType weights, double least_cosine) {
  auto encoder = BertEncoder::Load(kModel, weights, 0);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  const size_t dimension = (*encoder)->dimension();
  std::vector<absl::string_view> texts;
  for (const ReferenceText& reference : references) {
    texts.push_back(reference.text);
    ASSERT_EQ(reference.vector.size(), dimension);
  }
  std::vector<float> vectors(texts.size() * dimension);
  const absl::Status status = (*encoder)->Embed(texts, vectors.data());
  ASSERT_TRUE(status.ok()) << status;
  double min_cosine = 1.0;
  for (size_t i = 0; i < references.size(); ++i) {
    const absl::StatusOr<std::vector<int32_t>> ids =
        (*encoder)->TokenIds(texts[i]);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, references[i].ids) << "text " << i << ": " << texts[i];
    const double cosine = Cosine(vectors.data() + i * dimension,
                                 references[i].vector.data(), dimension);
    EXPECT_GE(cosine, least_cosine) << "text " << i << ": " << texts[i];
    min_cosine = std::min(min_cosine, cosine);
  }
  ::testing::Test::RecordProperty("min_cosine", std::to_string(min_cosine));
  ::testing::Test::RecordProperty("texts", std::to_string(references.size()));
  printf("%zu texts, smallest cosine %.8f\n", references.size(), min_cosine);
}

TEST(MiniLm, AgreesOnTextsOfManyScriptsAndLengths) {
  if (!std::filesystem::exists(kModel)) {
    GTEST_SKIP() << kModel << " is not there: run ./deploy/setup";
  }
  const std::vector<ReferenceText> references =
      ReadReference(BRAID_SOURCE_DIR "/tests/encoder/data/reference.jsonl");
  ASSERT_GE(references.size(), 40u);
  ExpectAgreement(references, model::WeightType::kF32, kMinCosine);
  ExpectAgreement(references, model::WeightType::kInt8, kMinCosineInt8);
}

TEST(MiniLm, AgreesOnAThousandPassages) {
  const char* path = std::getenv("BRAID_ENCODER_REFERENCE");
  if (path == nullptr || !std::filesystem::exists(kModel)) {
    GTEST_SKIP() << "set BRAID_ENCODER_REFERENCE to a file made by "
                    "tests/encoder/make_reference.py --sample ../shared/data";
  }
  const std::vector<ReferenceText> references = ReadReference(path);
  ASSERT_GE(references.size(), 900u);
  ExpectAgreement(references, model::WeightType::kF32, kMinCosine);
  ExpectAgreement(references, model::WeightType::kInt8, kMinCosineInt8);
}

}  // namespace
}  // namespace braid::retrieval
