#include "generation/answer/sentences.h"

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace braid::generation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Split(absl::string_view text) {
  std::vector<std::string> found;
  for (const Sentence& sentence : SplitSentences(text)) {
    found.emplace_back(
        text.substr(sentence.begin, sentence.end - sentence.begin));
  }
  return found;
}

TEST(SentencesTest, EndsAtFullStopsQuestionsAndExclamations) {
  EXPECT_THAT(
      Split("One ends. Two follows! Does a third? Yes."),
      ElementsAre("One ends.", "Two follows!", "Does a third?", "Yes."));
  EXPECT_THAT(
      Split("He said \"Stop.\" Then he left. (It rained.) End"),
      ElementsAre("He said \"Stop.\"", "Then he left.", "(It rained.)", "End"));
}

TEST(SentencesTest, AbbreviationsInitialsAndNumbersDoNotEndOne) {
  EXPECT_THAT(Split("Dr. J. R. Smith paid $3.50, e.g. Fig. 2, vs. Mr. Lee in "
                    "the U.S. Army. It is No. 5 of v1.2.3 in libpq.h today."),
              ElementsAre("Dr. J. R. Smith paid $3.50, e.g. Fig. 2, vs. Mr. "
                          "Lee in the U.S. Army.",
                          "It is No. 5 of v1.2.3 in libpq.h today."));
  EXPECT_THAT(Split("It waits ... and goes on. is lower case"),
              ElementsAre("It waits ... and goes on. is lower case"));
}

TEST(SentencesTest, WrappedLinesAreJoinedOthersAreNot) {
  EXPECT_THAT(Split("A deadlock occurs when two transactions wait for each "
                    "other\nforever. The server ends one.\n\nNext part."),
              ElementsAre("A deadlock occurs when two transactions wait for "
                          "each other\nforever.",
                          "The server ends one.", "Next part."));
  const std::vector<Sentence> sentences =
      SplitSentences("Deadlocks\nA deadlock ends by itself.");
  ASSERT_EQ(sentences.size(), 2u);
  EXPECT_EQ(sentences[0].kind, SentenceKind::kHeading);
  EXPECT_EQ(sentences[1].kind, SentenceKind::kProse);
}

TEST(SentencesTest, RowsItemsAndCodeStandForThemselves) {
  const absl::string_view text =
      "Code | Name\n--- | ---\n40P01 | deadlock_detected\n40003 | unknown\n\n"
      "- first item. It has two.\n- second item\n1. Numbered. Item\n\n"
      "```c\nint a = 1;\nint b = 2. + a;\n```\n\n    indented();\n";
  EXPECT_THAT(Split(text),
              ElementsAre("Code | Name", "40P01 | deadlock_detected",
                          "40003 | unknown", "- first item.", "It has two.",
                          "- second item", "1. Numbered.", "Item", "int a = 1;",
                          "int b = 2. + a;", "indented();"));
  const std::vector<Sentence> sentences = SplitSentences(text);
  EXPECT_EQ(sentences[1].kind, SentenceKind::kTableRow);
  EXPECT_EQ(sentences[3].kind, SentenceKind::kListItem);
  EXPECT_EQ(sentences[3].block, sentences[4].block);
  EXPECT_NE(sentences[4].block, sentences[5].block);
  EXPECT_EQ(sentences[8].kind, SentenceKind::kCode);
}

TEST(SentencesTest, OtherScripts) {
  EXPECT_THAT(Split("これは文です。次の文です。"),
              ElementsAre("これは文です。", "次の文です。"));
  EXPECT_THAT(Split("Élan vital. École normale. \u00a0 Ärger."),
              ElementsAre("Élan vital.", "École normale.", "Ärger."));
}

TEST(SentencesTest, NothingToSay) {
  EXPECT_THAT(Split(""), IsEmpty());
  EXPECT_THAT(Split(" \n\t\r\n \u00a0 "), IsEmpty());
  EXPECT_THAT(Split("---\n|--|--|\n"), IsEmpty());
}

// Whatever the bytes: ranges in order, within the text, trimmed, and no byte
// that is not white space, a fence or a rule is left out.
TEST(SentencesTest, RangesHoldForAnyBytes) {
  std::mt19937 random(7);
  const std::string pieces[] = {"a",    "B",  ".",    " ",    "\n",  "? ",
                                "| ",   "- ", "\xff", "é",    "\t",  "。",
                                "e.g.", "9",  "\0",   "\xe2", "    "};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = static_cast<int>(random() % 40); i > 0; --i) {
      text += pieces[random() % std::size(pieces)];
    }
    size_t last = 0;
    for (const Sentence& sentence : SplitSentences(text)) {
      ASSERT_GE(sentence.begin, last);
      ASSERT_LT(sentence.begin, sentence.end);
      ASSERT_LE(sentence.end, text.size());
      ASSERT_NE(text[sentence.begin], ' ');
      ASSERT_NE(text[sentence.end - 1], '\n');
      for (size_t i = last; i < sentence.begin; ++i) {
        ASSERT_NE(absl::string_view(" \n\t-|\xc2\xa0").find(text[i]),
                  absl::string_view::npos)
            << "left out byte " << i << " of " << text;
      }
      // Never within a character.
      const bool continues =
          sentence.end < text.size() &&
          (static_cast<unsigned char>(text[sentence.end]) & 0xC0) == 0x80;
      ASSERT_FALSE(continues) << text;
      last = sentence.end;
    }
  }
}

TEST(SentencesTest, LinearOnLongText) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "word. Mr. ";
  EXPECT_GT(SplitSentences(text).size(), 100000u);
  EXPECT_EQ(SplitSentences(std::string(1 << 20, '.')).size(), 1u);
  EXPECT_EQ(SplitSentences(std::string(1 << 20, 'x')).size(), 1u);
}

}  // namespace
}  // namespace braid::generation
