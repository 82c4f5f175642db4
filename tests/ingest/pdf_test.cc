// PDF, read where it is read: in the worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "retrieval/ingest/worker/parser_pool.h"
#include "tests/ingest/fixtures.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PdfTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ParserPoolOptions options;
    options.executable = BRAID_PARSER;
    pool_ = ParserPool::Create(options)->release();
  }
  static void TearDownTestSuite() { delete pool_; }

  static absl::StatusOr<ParsedDocument> Parse(const std::string& pdf) {
    return pool_->Parse(Source("dir/a.pdf", pdf));
  }
  static ParsedDocument Read(const std::string& pdf) {
    auto document = Parse(pdf);
    EXPECT_TRUE(document.ok()) << document.status();
    if (!document.ok()) return {};
    CheckAllProperties(*document, pdf);
    return *std::move(document);
  }
  static absl::Status Refusal(const std::string& pdf) {
    const absl::Status status = Parse(pdf).status();
    EXPECT_THAT(std::string(status.message()), StartsWith("dir/a.pdf: "));
    return status;
  }
  // Blocks as "page level: text".
  static std::vector<std::string> Blocks(const ParsedDocument& document) {
    std::vector<std::string> blocks;
    for (const Block& block : document.blocks) {
      blocks.push_back(absl::StrCat(block.page, " ", block.level, ": ",
                                    Slice(document.text, block.text_range)));
    }
    return blocks;
  }

  static ParserPool* pool_;
};

ParserPool* PdfTest::pool_ = nullptr;

TEST_F(PdfTest, PagesParagraphsAndHeadingsBySize) {
  const std::string pdf = MakePdf(
      {"BT /F1 20 Tf 72 720 Td (The large head) Tj ET\n" +
           std::string("BT /F1 10 Tf 72 680 Td 12 TL (First line of text") +
           ") Tj T* (goes on in the second.) Tj 0 -40 Td (Another paragraph "
           "that is far below.) Tj ET",
       "", PdfLines({"Words on page three."}, 10)});
  const ParsedDocument document = Read(pdf);
  EXPECT_THAT(Blocks(document),
              ElementsAre("1 1: The large head",
                          "1 0: First line of text\ngoes on in the second.",
                          "1 0: Another paragraph that is far below.",
                          "3 0: Words on page three."));
  EXPECT_EQ(std::get<double>(document.metadata.at("pages")), 3);
  EXPECT_EQ(std::get<double>(document.metadata.at("pages_without_text")), 1);
  EXPECT_EQ(document.title, "a.pdf");
  auto chunks = ChunkDocument(document, ChunkingConfig(), FakeEncoder());
  ASSERT_TRUE(chunks.ok());
  EXPECT_EQ(chunks->front().page, 1u);
  EXPECT_THAT(chunks->front().headings, ElementsAre("The large head"));
  EXPECT_EQ(chunks->front().source_range, (ByteRange{0, pdf.size()}));
}

TEST_F(PdfTest, ColumnsAreReadOneAfterTheOther) {
  std::string content = "BT /F1 10 Tf 12 TL 72 700 Td ";
  for (int i = 0; i < 6; ++i) {
    absl::StrAppend(&content, "(left column number ", i, ") Tj T* ");
  }
  content += "ET BT /F1 10 Tf 12 TL 330 700 Td ";
  for (int i = 0; i < 6; ++i) {
    absl::StrAppend(&content, "(right column number ", i, ") Tj T* ");
  }
  const ParsedDocument document = Read(MakePdf({content + "ET"}));
  const size_t last_left = document.text.find("left column number 5");
  ASSERT_NE(last_left, std::string::npos) << document.text;
  EXPECT_LT(last_left, document.text.find("right column number 0"))
      << document.text;
}

TEST_F(PdfTest, TheOutlineNamesTheHeadings) {
  const ParsedDocument document =
      Read(MakePdf({PdfLines({"1. Ants", "", "They walk."}),
                    PdfLines({"Wings", "", "They fly."})},
                   "/Outlines 4 0 R",
                   {"<</Type/Outlines/First 5 0 R/Last 5 0 R/Count 2>>",
                    "<</Title(1. Ants)/Parent 4 0 R/First 6 0 R/Last 6 0 "
                    "R/Count 1>>",
                    "<</Title(Wings)/Parent 5 0 R>>",
                    "<</Title(The Insect Book)/Author(Ann)>>"},
                   "/Info 7 0 R"));
  EXPECT_EQ(document.title, "The Insect Book");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "Ann");
  EXPECT_THAT(Blocks(document), ElementsAre("1 1: 1. Ants", "1 0: They walk.",
                                            "2 2: Wings", "2 0: They fly."));
}

TEST_F(PdfTest, WithoutTextItSaysSo) {
  const absl::Status status = Refusal(MakePdf({"", "0 0 m 9 9 l S"}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no text on any of its 2 pages"));
}

TEST_F(PdfTest, EncryptedIsSaidToBe) {
  // RC4 with 40 bits; the check value fits no password that we try.
  const std::string zeros(64, '0');
  const absl::Status status = Refusal(MakePdf(
      {"x"}, "",
      {"<</Filter/Standard/V 1/R 2/P -4/O<" + zeros + ">/U<" + zeros + ">>>"},
      "/Encrypt 4 0 R/ID[<00><00>]"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("encrypted"));
}

TEST_F(PdfTest, DamageIsAnErrorOrRepaired) {
  const std::string pdf = MakePdf({PdfLines({"Some words."})});
  size_t read = 0;
  for (size_t size = 5; size < pdf.size(); size += 13) {
    read += Parse(pdf.substr(0, size)).ok();
  }
  EXPECT_GT(read, 0u);  // poppler finds what a lost table named
  std::string loop = MakePdf({"/X Do"}, "/Outlines 4 0 R",
                             {"<</First 4 0 R/Next 4 0 R/Title(x)>>"});
  EXPECT_EQ(Refusal(loop).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Refusal("%PDF-1.4 nothing").message()),
              HasSubstr("damaged"));
  EXPECT_TRUE(Parse(pdf).ok());
}

TEST_F(PdfTest, ABombCostsItsLimit) {
  // A form that draws itself ten times ten times ...: 10^9 words.
  std::vector<std::string> forms;
  for (int level = 0; level < 9; ++level) {
    std::string content;
    for (int i = 0; i < 10; ++i) content += "/X Do ";
    if (level == 8) content = "BT /F1 9 Tf 10 10 Td (bomb) Tj ET";
    forms.push_back(absl::StrCat(
        "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F1 3 0 "
        "R>>/XObject<</X ",
        5 + level, " 0 R>>>>/Length ", content.size(), ">>stream\n", content,
        "\nendstream"));
  }
  std::string pdf = MakePdf({"/X Do"}, "", forms);
  const size_t fonts = pdf.rfind("/Font<</F1 3 0 R>>");
  pdf.insert(fonts, "/XObject<</X 4 0 R>>");
  ParserPoolOptions options;
  options.executable = BRAID_PARSER;
  options.max_cpu_time = absl::Seconds(1);
  auto pool = *ParserPool::Create(options);
  const absl::Status status = pool->Parse(Source("bomb.pdf", pdf)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(pool->Parse(Source("a.txt", "words")).ok());
}

}  // namespace
}  // namespace braid::retrieval
