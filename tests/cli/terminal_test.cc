#include "services/cli/terminal.h"

#include <gtest/gtest.h>

namespace braid::services::cli {
namespace {

TEST(PrintableText, ADocumentCannotDriveTheTerminal) {
  EXPECT_EQ(PrintableText("a\x1b[31mred\x07\x7f", false), "a [31mred  ");
  // C1 controls, which terminals obey as well: U+009B is CSI.
  EXPECT_EQ(PrintableText("a\xc2\x9b"
                          "31m",
                          false),
            "a 31m");
  EXPECT_EQ(PrintableText("two\nlines\r", false), "two lines ");
  EXPECT_EQ(PrintableText("two\nlines\r", true), "two\nlines ");
}

TEST(PrintableText, IsAlwaysUtf8) {
  EXPECT_EQ(PrintableText("na\xc3\xafve €", false), "naïve €");
  EXPECT_EQ(PrintableText("\xff", false), "\xEF\xBF\xBD");
  EXPECT_EQ(PrintableText("cut \xe2\x82", false),
            "cut \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Snippet, CutsByCharactersAndCollapsesBlanks) {
  EXPECT_EQ(Snippet("  one \n\t two  ", 20), "one two");
  EXPECT_EQ(Snippet("ééééé", 3), "ééé…");
  EXPECT_EQ(Snippet("exact", 5), "exact");
  EXPECT_EQ(Snippet("", 5), "");
}

TEST(FormatTable, LinesUpByCharacters) {
  EXPECT_EQ(FormatTable({{"é", "x"}, {"long", "y"}}), "é     x\nlong  y\n");
}

}  // namespace
}  // namespace braid::services::cli
