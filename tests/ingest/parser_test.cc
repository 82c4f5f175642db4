#include "retrieval/ingest/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "retrieval/ingest/media_type.h"
#include "retrieval/ingest/utf8.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Texts(const ParsedDocument& document) {
  std::vector<std::string> texts;
  for (const Block& block : document.blocks) {
    texts.push_back(Slice(document.text, block.text_range));
  }
  return texts;
}

TEST(Utf8, FindsTheFirstBadByte) {
  // Table 3-7 of the Unicode Standard: the borders of well-formed sequences.
  for (const char* good :
       {"", "plain ascii text", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(FindInvalidUtf8(good), std::string::npos);
  }
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xE0\x9F\xBF", "\xE1\x80",
        "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80",
        "\xFF"}) {
    for (size_t at : {0, 1, 7, 8, 23}) {
      EXPECT_EQ(FindInvalidUtf8(std::string(at, 'x') + bad), at);
    }
  }
  EXPECT_EQ(TruncateUtf8("a\u00e9\U0001F600", 6), "a\u00e9");
  EXPECT_EQ(TruncateUtf8("a\u00e9", 9), "a\u00e9");
}

TEST(DetectMediaType, GoesByContentThenByName) {
  EXPECT_EQ(DetectMediaType("a.md", "# x"), "text/markdown");
  EXPECT_EQ(DetectMediaType("a.MD", "# x"), "text/markdown");
  EXPECT_EQ(DetectMediaType("README", "# x"), "text/plain");
  EXPECT_EQ(DetectMediaType("a.txt", "<!DOCTYPE HTML><p>"), "text/html");
  EXPECT_EQ(DetectMediaType("a",
                            "\xEF\xBB\xBF <?xml version='1'?>\n"
                            "<!-- c -->\n<html lang=en>"),
            "text/html");
  EXPECT_EQ(DetectMediaType("a.txt", "<htmlish>"), "text/plain");
  EXPECT_EQ(DetectMediaType("a.html", "words"), "text/html");
  EXPECT_EQ(DetectMediaType("a.txt", "%PDF-1.7"), "application/pdf");
  EXPECT_EQ(DetectMediaType("a.txt", "PK\x03\x04"), "application/zip");
  EXPECT_EQ(DetectMediaType("a.bin", std::string("a\0b", 3)),
            "application/octet-stream");
  EXPECT_EQ(DetectMediaType("a.pdf", std::string("a\0b", 3)),
            "application/pdf");
}

TEST(ParseSource, RefusesWhatIsNoTextByTypeNamingTheFile) {
  struct Case {
    const char* name;
    std::string content;
    absl::StatusCode code;
    const char* says;
  };
  const Case cases[] = {
      {"a.txt", "", absl::StatusCode::kInvalidArgument, "empty"},
      {"a.txt", "\xEF\xBB\xBF \n", absl::StatusCode::kInvalidArgument, "empty"},
      {"a.txt",
       "\u65e5\u672c\u8a9e \u65e5\u672c\u8a9e \u65e5\u672c\u8a9e \xE6\x97.",
       absl::StatusCode::kInvalidArgument, "offset 30"},
      {"a.md", std::string("ab\0", 3), absl::StatusCode::kInvalidArgument,
       "offset 2"},
      {"a.bin", std::string("ab\0", 3), absl::StatusCode::kInvalidArgument,
       "offset 2"},
      {"a.txt", "\xFF\xFEh", absl::StatusCode::kInvalidArgument,
       "not utf-16le"},
      {"a.pdf", "%PDF-1.7", absl::StatusCode::kUnimplemented,
       "application/pdf"},
      {"a.docx", "text", absl::StatusCode::kInvalidArgument, "no zip archive"},
      {"a.pptx", "text", absl::StatusCode::kInvalidArgument, "no zip archive"},
      {"a.odp", "text", absl::StatusCode::kInvalidArgument, "no zip archive"},
      {"a.ppt", "text", absl::StatusCode::kUnimplemented, "ms-powerpoint"},
      {"a.html", "<p></p><script>x</script>",
       absl::StatusCode::kInvalidArgument, "no text"},
  };
  for (const Case& test : cases) {
    auto document = ParseSource(Source(test.name, test.content));
    EXPECT_EQ(document.status().code(), test.code) << test.says;
    const std::string message(document.status().message());
    EXPECT_THAT(message, HasSubstr(test.says));
    EXPECT_THAT(message, ::testing::StartsWith(test.name));
  }
  SourceFile source = Source("a", "x");
  source.media_type = "image/png";
  EXPECT_EQ(ParseSource(source).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(ParseSource, PlainTextIsParagraphs) {
  const std::string text =
      "\xEF\xBB\xBF"
      "first\nline two  \n \t\r\n\r\n  second \u65e5\u672c\n\n";
  SourceFile source = Source("dir/notes.txt", text);
  source.metadata["k"] = 1.0;
  auto document = ParseSource(source);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->text, text);
  EXPECT_EQ(document->title, "notes.txt");
  EXPECT_EQ(document->media_type, "text/plain");
  EXPECT_THAT(Texts(*document),
              ElementsAre("first\nline two", "  second \u65e5\u672c"));
  EXPECT_EQ(std::get<double>(document->metadata["k"]), 1);
  CheckAllProperties(*document, text);
}

TEST(ParseSource, MarkdownKeepsStructureTitleAndMetadata) {
  const std::string text =
      "\xEF\xBB\xBF---\ntitle: \"The Title\"\ntags: [x, y]\npath: old\n---\n"
      "# Head *one*\n\nPara\n\nSetext `two`\n----\n\n"
      "| a | b |\n|---|---|\n| 1 | \u00e9 |\n\n```\ncode\n\nmore\n```\n"
      "1. item\n2. next\n";
  SourceFile source = Source("a.md", text);
  source.metadata["path"] = std::string("new");
  auto document = ParseSource(source);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->text, text);
  EXPECT_EQ(document->title, "The Title");
  EXPECT_EQ(std::get<std::string>(document->metadata["path"]), "new");
  EXPECT_EQ(document->metadata.size(), 2u);
  EXPECT_THAT(Texts(*document),
              ElementsAre("# Head *one*", "Para", "Setext `two`\n----",
                          "| a | b |\n|---|---|\n| 1 | \u00e9 |",
                          "```\ncode\n\nmore\n```", "1. item", "2. next"));
  EXPECT_EQ(document->blocks[0].heading, "Head one");
  EXPECT_EQ(document->blocks[2].heading, "Setext two");
  EXPECT_EQ(document->blocks[2].level, 2);
  EXPECT_EQ(document->blocks[3].kind, BlockKind::kTable);
  EXPECT_EQ(document->blocks[4].kind, BlockKind::kCode);
  EXPECT_EQ(document->blocks[5].kind, BlockKind::kListItem);
  CheckAllProperties(*document, text);
  EXPECT_EQ(ParseSource(Source("a.md", "x\n\n# H\n"))->title, "H");
  EXPECT_EQ(ParseSource(Source("a.md", "x\n"))->title, "a.md");
}

TEST(ParseSource, DeepMarkdownIsRefusedAndTheRestIsLinear) {
  std::string deep;
  for (int i = 0; i < 501; ++i) deep += "> ";
  EXPECT_EQ(ParseSource(Source("a.md", "x\n" + deep + "x")).status().code(),
            absl::StatusCode::kResourceExhausted);
  const auto started = std::chrono::steady_clock::now();
  std::string nested;
  for (int i = 0; i < 400; ++i) nested += "> ";
  nested += "x\n" + std::string(1 << 20, '\n');
  EXPECT_TRUE(ParseSource(Source("a.md", nested)).ok());
  for (const char* unit : {"[", "*a_ ", "`", "![", "<a", "\n- ", "| ", "\\"}) {
    std::string text = "x";
    while (text.size() < (1 << 20)) text += unit;
    auto document = ParseSource(Source("a.md", text));
    ASSERT_TRUE(document.ok()) << document.status();
    CheckBlocks(*document, text);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - started,
            std::chrono::seconds(60));
}

// Documents made of pieces that matter to the parsers, in any order.
std::string RandomDocument(const std::vector<std::string>& pieces,
                           std::mt19937* random) {
  std::string text;
  const size_t count = (*random)() % 60 + 1;
  for (size_t i = 0; i < count; ++i)
    text += pieces[(*random)() % pieces.size()];
  return text;
}

void CheckRandom(const char* name, const std::vector<std::string>& pieces) {
  std::mt19937 random(7);
  size_t parsed = 0;
  for (int i = 0; i < 800; ++i) {
    const std::string text = RandomDocument(pieces, &random);
    auto document = ParseSource(Source(name, text));
    if (!document.ok()) continue;
    ++parsed;
    CheckAllProperties(*document, text);
    if (::testing::Test::HasFatalFailure()) FAIL() << text;
  }
  EXPECT_GT(parsed, 500u);
}

TEST(ParseSource, RandomMarkdownHoldsItsProperties) {
  CheckRandom("a.md", {"#",          "# ",
                       "\n",         "\n\n",
                       "- ",         "> ",
                       "    ",       "\t",
                       "```",        "|",
                       "|---|---|",  "a",
                       "word ",      "Sentence. ",
                       "\u00e9",     "\u65e5\u672c\u3002",
                       "\U0001F600", "[",
                       "](x)",       "*",
                       "`",          "<p>",
                       "1. ",        "---\n",
                       "===\n",      "[^1]: ",
                       "\r\n",       "- [ ] ",
                       "&amp;",      "~~",
                       "\\",         "<!--",
                       "-->",        "averyveryverylongword"});
}

TEST(ParseSource, RandomHtmlHoldsItsProperties) {
  CheckRandom("a.html", {"<p>",
                         "</p>",
                         "<div>",
                         "</div>",
                         "<h1>",
                         "</h1>",
                         "<table>",
                         "</table>",
                         "<tr>",
                         "<td>",
                         "</td>",
                         "<li>",
                         "<ul>",
                         "</ul>",
                         "<dl>",
                         "<dt>",
                         "<dd>",
                         "<pre>",
                         "</pre>",
                         "<br>",
                         "<b>",
                         "</b>",
                         "<i>",
                         "</i>",
                         "&amp;",
                         "&lt;",
                         "&nbsp;",
                         "&#233;",
                         "&bogus;",
                         "&",
                         "<",
                         ">",
                         "text ",
                         "Word. ",
                         "\u00e9",
                         "\u65e5\u672c",
                         "\n",
                         "\r\n",
                         "  ",
                         "\t",
                         "<script>",
                         "</script>",
                         "<!--",
                         "-->",
                         "<svg>",
                         "</svg>",
                         "<![CDATA[x]]>",
                         "<img alt='pic &amp; x'>",
                         "<header>",
                         "<section>",
                         "<title>t</title>",
                         "<select>",
                         "<template>",
                         "<caption>",
                         "<body>",
                         "</html>",
                         "<math>",
                         "<a href=\"",
                         "\">",
                         "<p hidden>",
                         "&notit;",
                         "&NotEqualTilde;"});
}

TEST(ParseSource, RandomTextHoldsItsProperties) {
  CheckRandom("a.txt", {"a", "word ", "End. ", "J. ", "e.g. x", "\n", "\n\n",
                        "\r\n", "\t", "  ", "\u3002", "\u65e5\u672c", "?!\" ",
                        "...", "\U0001F600", "x_y-z/1 ", "\x0c", "\x01",
                        "longlonglonglonglonglonglonglonglonglonglong"});
}

}  // namespace
}  // namespace braid::retrieval
