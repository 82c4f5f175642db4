#include "retrieval/ingest/front_matter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;

TEST(FrontMatter, ReadsScalarsListsAndMaps) {
  Metadata metadata = ParseFrontMatter(
      "# comment\r\n"
      "author: Jane Doe  # trailing\n"
      "quoted: \"a: \\\"b\\\" # c\"\n"
      "single: 'it''s'\n"
      "draft: true\n"
      "weight: -1.5e1\n"
      "date: 2024-01-02\n"
      "tags: [a, 'b, c', d]\n"
      "keys:\n"
      "  - one\n"
      "  - \"two\"\n"
      "flat:\n"
      "- x\n"
      "nested:\n"
      "  inner:\n"
      "    deep: yes\n"
      "  other: 1\n"
      "empty:\n"
      "nothing: null\n"
      "url: http://a/b#c\n");
  EXPECT_EQ(std::get<std::string>(metadata["author"]), "Jane Doe");
  EXPECT_EQ(std::get<std::string>(metadata["quoted"]), "a: \"b\" # c");
  EXPECT_EQ(std::get<std::string>(metadata["single"]), "it's");
  EXPECT_EQ(std::get<bool>(metadata["draft"]), true);
  EXPECT_EQ(std::get<double>(metadata["weight"]), -15);
  EXPECT_EQ(std::get<std::string>(metadata["date"]), "2024-01-02");
  EXPECT_THAT(std::get<std::vector<std::string>>(metadata["tags"]),
              ElementsAre("a", "b, c", "d"));
  EXPECT_THAT(std::get<std::vector<std::string>>(metadata["keys"]),
              ElementsAre("one", "two"));
  EXPECT_THAT(std::get<std::vector<std::string>>(metadata["flat"]),
              ElementsAre("x"));
  EXPECT_EQ(std::get<std::string>(metadata["nested.inner.deep"]), "yes");
  EXPECT_EQ(std::get<double>(metadata["nested.other"]), 1);
  EXPECT_EQ(std::get<std::string>(metadata["url"]), "http://a/b#c");
  EXPECT_EQ(metadata.size(), 12u);
}

TEST(FrontMatter, NonsenseIsLeftOut) {
  EXPECT_TRUE(
      ParseFrontMatter(":\n- x\n---\n]\n\t\n \v\n  - y\nword\n: v\n").empty());
}

}  // namespace
}  // namespace braid::retrieval
