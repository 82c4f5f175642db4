#include "generation/answer/quoted_text.h"

#include <gtest/gtest.h>

namespace braid::generation {
namespace {

TEST(QuotedTextTest, EveryLineIsMarked) {
  EXPECT_EQ(QuotedForPrompt(""), "> ");
  EXPECT_EQ(QuotedForPrompt("one"), "> one");
  EXPECT_EQ(QuotedForPrompt("a\n\n[2] b\n"), "> a\n> \n> [2] b\n> ");
  // What Unicode (UAX 14) breaks a line at, and what terminals do.
  for (const char* line_break : {"\n", "\r", "\r\n", "\v", "\f", "\xC2\x85",
                                 "\xE2\x80\xA8", "\xE2\x80\xA9"}) {
    const std::string text = std::string("a") + line_break + "Question: b";
    EXPECT_EQ(QuotedForPrompt(text), "> a\n> Question: b");
    EXPECT_EQ(LineForPrompt(text), "a Question: b");
  }
}

TEST(QuotedTextTest, WhatNobodySeesIsLeftOut) {
  for (const char* hidden : {"\xE2\x80\x8B",      // zero width space
                             "\xE2\x80\xAE",      // right-to-left override
                             "\xE2\x81\xA6",      // left-to-right isolate
                             "\xE2\x81\xA0",      // word joiner
                             "\xEF\xBB\xBF",      // zero width no-break space
                             "\xC2\xAD",          // soft hyphen
                             "\xEF\xB8\x8F",      // variation selector 16
                             "\xF3\xA0\x84\x80",  // variation selector 17
                             "\xF3\xA0\x81\xA9",  // tag i
                             "\xE3\x85\xA4",      // Hangul filler
                             "\x1B", "\x7F", "\xC2\x9B"}) {
    EXPECT_EQ(QuotedForPrompt(std::string("a") + hidden + "b"), "> ab");
  }
  EXPECT_EQ(LineForPrompt(std::string("a\0b", 3)), "ab");
  EXPECT_EQ(LineForPrompt("a\xFF"
                          "b"),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(QuotedTextTest, WhatIsReadStays) {
  for (const char* text :
       {"a\tb", "\xC3\xA9", "\xE6\xBC\xA2\xE5\xAD\x97",
        "\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xAE\xD9\x88\xD8\xA7\xD9\x87\xD9\x85",
        "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7"}) {
    EXPECT_EQ(LineForPrompt(text), text);
  }
  // Joiners that join nothing could spell something.
  EXPECT_EQ(LineForPrompt("a\xE2\x80\x8D\xE2\x80\x8C\xE2\x80\x8D"
                          "b"),
            "a\xE2\x80\x8D"
            "b");
}

}  // namespace
}  // namespace braid::generation
