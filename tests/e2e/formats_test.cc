// Files of packed formats through the binary and its parser worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/e2e/braid_binary.h"
#include "tests/ingest/fixtures.h"

namespace braid::testing {
namespace {

using ::testing::HasSubstr;
namespace ingest = braid::retrieval;

TEST(Formats, GoodOnesAreFoundAndBadOnesNamed) {
  const ScratchDirectory scratch;
  scratch.Write("docs/ants.pdf",
                ingest::MakePdf({ingest::PdfLines({"Nothing to see here."}),
                                 ingest::PdfLines({"Leafcutter colonies "
                                                   "cultivate fungus."})}));
  scratch.Write("docs/bees.docx",
                ingest::MakeDocx("<w:p><w:r><w:t>Bumblebees warm their flight "
                                 "muscles by shivering.</w:t></w:r></w:p>"));
  scratch.Write(
      "docs/crickets.pptx",
      ingest::MakePptx({{"b.xml", "<p:sp><a:p><a:t>Insects</a:t></a:p></p:sp>"},
                        {"a.xml",
                         "<p:sp><p:ph type='title'/><a:p><a:t>Song</a:t></a:p>"
                         "</p:sp><p:sp><a:p><a:t>Crickets stridulate with "
                         "their wings.</a:t></a:p></p:sp>"}}));
  scratch.Write("docs/bomb.docx",
                ingest::MakeDocx("<w:p><w:r><w:t>" + std::string(9 << 20, 'x') +
                                 "</w:t></w:r></w:p>"));
  scratch.Write("docs/scan.pdf", ingest::MakePdf({""}));
  const std::string data = scratch / "data";
  const Output ingested = RunBraid(
      {"ingest", scratch / "docs", "--data", data, "--json", "--wait"});
  EXPECT_NE(ingested.exit_code, 0);
  EXPECT_EQ(ingested.LastJson()["created"], 3) << ingested.out << ingested.err;
  EXPECT_EQ(ingested.LastJson()["failed"], 2);
  EXPECT_THAT(ingested.out, HasSubstr("bomb.docx: what it holds is over"));
  EXPECT_THAT(ingested.out, HasSubstr("scan.pdf: no text on any of its 1"));

  const Output found =
      RunBraid({"search", "who cultivates fungus", "--data", data, "--json"});
  EXPECT_EQ(found.exit_code, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("Leafcutter colonies"));
  EXPECT_THAT(found.out, HasSubstr("\"page\":2"));

  const Output slide = RunBraid({"search", "how do crickets stridulate",
                                 "--data", data, "--top-k", "1", "--json"});
  EXPECT_EQ(slide.exit_code, 0) << slide.err;
  EXPECT_THAT(slide.out, HasSubstr("Crickets stridulate with their wings."));
  EXPECT_THAT(slide.out, HasSubstr("\"headings\":[\"Song\"]"));
  EXPECT_THAT(slide.out, HasSubstr("\"page\":2"));

  setenv("BRAID_PARSER_EXECUTABLE", "/nowhere/braid-parse", 1);
  const Output without =
      RunBraid({"ingest", scratch / "docs", "--data", data, "--json"});
  unsetenv("BRAID_PARSER_EXECUTABLE");
  EXPECT_NE(without.exit_code, 0);
  EXPECT_THAT(without.err + without.out, HasSubstr("/nowhere/braid-parse"));
}

}  // namespace
}  // namespace braid::testing
