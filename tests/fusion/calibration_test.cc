#include "fusion/rerank/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/encoder/tiny_bert.h"

namespace braid::fusion {
namespace {

using ::testing::HasSubstr;

TEST(CalibrationTest, IsALogisticRegressionOnLogitAndFusedScore) {
  EXPECT_DOUBLE_EQ(RelevanceOf({}, 0, 5), 0.5);
  EXPECT_DOUBLE_EQ(
      RelevanceOf({.scale = 2, .fused_weight = 3, .bias = -1}, 0.5, 0.25),
      1 / (1 + std::exp(-(2 * 0.5 + 3 * 0.25 - 1))));
  EXPECT_EQ(RelevanceOf({}, -1000, 0), 0);
  EXPECT_EQ(RelevanceOf({}, 1000, 0), 1);
}

TEST(CalibrationTest, ReadsItsFileOrTakesTheLogitAlone) {
  const retrieval::TempDirectory directory;
  auto read = ReadCalibration(directory.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->scale, 1);
  EXPECT_EQ(read->fused_weight, 0);
  directory.Write("calibration.json",
                  R"({"scale": 0.5, "fused_weight": 4, "bias": -2})");
  read = ReadCalibration(directory.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->scale, 0.5);
  EXPECT_EQ(read->fused_weight, 4);
  EXPECT_EQ(read->bias, -2);
}

TEST(CalibrationTest, NamesTheFieldThatIsWrong) {
  const auto error = [](const std::string& content) {
    const retrieval::TempDirectory directory;
    directory.Write("calibration.json", content);
    return std::string(ReadCalibration(directory.path()).status().message());
  };
  EXPECT_THAT(error(R"({"scale": 1, "fused_weight": 1})"), HasSubstr("bias"));
  EXPECT_THAT(error(R"({"scale": 0, "fused_weight": 1, "bias": 0})"),
              HasSubstr("scale: must be above 0"));
  EXPECT_THAT(error(R"({"scale": "1", "fused_weight": 1, "bias": 0})"),
              HasSubstr("scale"));
  EXPECT_THAT(error("[1]"), HasSubstr("calibration.json"));
}

}  // namespace
}  // namespace braid::fusion
