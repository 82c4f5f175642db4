#include "fusion/names.h"

#include <string>

#include "gtest/gtest.h"

namespace braid::fusion {
namespace {

TEST(NamedInPassageTest, CapitalsAndYearsThatTheQuestionLacks) {
  const NamedInPassage passage(
      "Who directed Metropolis?",
      "Metropolis, of 1927 (not 12345), was directed by Fritz Lang; Lang was "
      "from \u00d6sterreich, \u00c4 too.");
  EXPECT_EQ(passage.names(), "1927 fritz lang \u00f6sterreich \u00e4");
  EXPECT_EQ(NamedInPassage("a", "nothing here, 12 or 123").names(), "");
  EXPECT_EQ(NamedInPassage("", "").names(), "");
}

TEST(NamedInPassageTest, WholeTitlesOnly) {
  const NamedInPassage passage(
      "Who directed the film Metropolis?",
      "Metropolis was made by Fritz Lang, born in Wien-Land.");
  EXPECT_TRUE(passage.Names("Fritz Lang"));
  EXPECT_TRUE(passage.Names("Fritz Lang (director)"));
  EXPECT_TRUE(passage.Names("WIEN LAND (state) "));
  EXPECT_TRUE(passage.Names("Lang"));
  EXPECT_FALSE(passage.Names("Fritz Langer"));
  EXPECT_FALSE(passage.Names("Fritz Wien"));
  EXPECT_FALSE(passage.Names("Itz Lang")) << "words, not letters";
  EXPECT_FALSE(passage.Names("Metropolis (film)")) << "asked for already";
  for (const char* nothing : {"", " ", "(film)", "?!", ")", "("}) {
    EXPECT_FALSE(passage.Names(nothing)) << nothing;
  }
}

TEST(NamedInPassageTest, AnyBytesAreText) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes.push_back(static_cast<char>(c));
  const NamedInPassage passage(bytes, bytes + " Fritz\xff Lang \xe2\x82");
  EXPECT_TRUE(passage.Names("Fritz \xf0 Lang"));
  EXPECT_FALSE(passage.Names(bytes));
}

}  // namespace
}  // namespace braid::fusion
