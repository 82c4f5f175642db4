#include "fusion/near_duplicates.h"

#include <gtest/gtest.h>

#include <string>

namespace braid::fusion {
namespace {

using Indices = std::vector<size_t>;

TEST(NearDuplicatesTest, CaseAndPunctuationDoNotCount) {
  EXPECT_EQ(FindNearDuplicates({"The quick brown fox jumps.",
                                "An unrelated sentence about databases.",
                                "the QUICK, brown fox -- jumps"},
                               {}),
            (Indices{0, 1, 0}));
}

TEST(NearDuplicatesTest, ADifferentFactIsNotADuplicate) {
  EXPECT_EQ(FindNearDuplicates({"The limit is 40 connections per host.",
                                "The limit is 80 connections per host."},
                               {}),
            (Indices{0, 1}));
}

TEST(NearDuplicatesTest, SimilarityIsJaccardOverWordTrigrams) {
  // 10 words give 8 trigrams; changing the last word leaves 7 common of 9.
  const std::string a = "a b c d e f g h i j";
  const std::string b = "a b c d e f g h i k";
  EXPECT_EQ(FindNearDuplicates({a, b}, {.min_similarity = 7.0 / 9}),
            (Indices{0, 0}));
  EXPECT_EQ(FindNearDuplicates({a, b}, {.min_similarity = 7.0 / 9 + 1e-9}),
            (Indices{0, 1}));
}

TEST(NearDuplicatesTest, EmptyAndShortTexts) {
  EXPECT_EQ(FindNearDuplicates({"", "", "yes", "Yes!"}, {}),
            (Indices{0, 1, 2, 2}));
  EXPECT_TRUE(FindNearDuplicates({}, {}).empty());
}

TEST(NearDuplicatesTest, PointsAtTheFirstOfAChain) {
  const std::string text = "one two three four five six seven";
  EXPECT_EQ(FindNearDuplicates({text, text, text}, {}), (Indices{0, 0, 0}));
}

}  // namespace
}  // namespace braid::fusion
