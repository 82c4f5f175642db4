#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "absl/strings/match.h"
#include "retrieval/ingest/charset.h"
#include "retrieval/ingest/html_tree.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::HasSubstr;

ParsedDocument Parse(const std::string& html) {
  auto document = ParseSource(Source("a.html", html));
  EXPECT_TRUE(document.ok()) << document.status();
  if (!document.ok()) return ParsedDocument();
  CheckAllProperties(*document, html);
  return *std::move(document);
}

TEST(Html, ReadsWhatPeopleRead) {
  const ParsedDocument page = Parse(
      "<html><head><title> A  &amp;\nB </title><style>x</style></head><body>"
      "<header>site</header><nav>menu</nav>"
      "<article><header><h1>Head <em>ing</em></h1></header>"
      "<p>Some  <b>bold</b>\n text&nbsp;&#233;.<br>Next</p>"
      "loose <span>words</span>"
      "<ul><li>one</li><li><p>two</p><p>more</p></li></ul>"
      "<script>no</script><noscript>no</noscript><p hidden>no</p>"
      "<p style='display: none'>no</p><span aria-hidden=true>no</span>"
      "<img alt='a picture'></article><aside>no</aside>"
      "<template><p>no</p></template><footer>no</footer></body></html>");
  EXPECT_EQ(page.title, "A & B");
  EXPECT_EQ(page.text,
            "Head ing\n\nSome bold text\u00a0\u00e9.\nNext\n\nloose words\n\n"
            "one\ntwo\nmore\n\na picture");
  EXPECT_EQ(page.blocks[0].kind, BlockKind::kHeading);
  EXPECT_EQ(page.blocks[0].level, 1);
  EXPECT_EQ(page.blocks[0].heading, "Head ing");
  EXPECT_EQ(page.blocks[3].kind, BlockKind::kListItem);
}

TEST(Html, TablesAreLinesAndLayoutTablesAreNot) {
  EXPECT_EQ(Parse("<table><caption>C</caption><thead><tr><th>a<th>b</thead>"
                  "<tr><td><p>1</p><p>2</p></td><td> x\n y </td></tr>"
                  "<tr><td></td><td>z</td><td></td></tr></table>")
                .text,
            "C\na | b\n1 2 | x y\n| z");
  const ParsedDocument layout = Parse(
      "<table><tr><td><h1>T</h1><p>para</p></td><td>side</td></tr></table>");
  EXPECT_EQ(layout.text, "T\n\npara\n\nside");
  EXPECT_EQ(layout.blocks[0].kind, BlockKind::kHeading);
}

TEST(Html, PreformattedTextKeepsItsLines) {
  const ParsedDocument page = Parse(
      "<p>x</p><pre>\n\n  if <b>a</b>\n\n    <i>b</i>  c\n</pre><p>y</p>");
  EXPECT_EQ(page.text, "x\n\n  if a\n\n    b  c\n\ny");
  EXPECT_EQ(page.blocks[1].kind, BlockKind::kCode);
}

TEST(Html, DefinitionsStayWithTheirTerms) {
  EXPECT_EQ(Parse("<dl><dt>t1</dt><dt>t2</dt><dd><p>def</p><p>more</p></dd>"
                  "<dt>t3</dt><dd>last</dd></dl>")
                .text,
            "t1\nt2\ndef\nmore\nt3\nlast");
}

TEST(Html, SourceRangesPointAtTheWords) {
  const std::string html =
      "<body><p>alpha <b>beta</b>\r\n  gamma &lt;delta&gt; &eacute;psilon "
      "zeta</p><p>eta</p>";
  const ParsedDocument page = Parse(html);
  EXPECT_EQ(page.text, "alpha beta gamma <delta> \u00e9psilon zeta\n\neta");
  for (const auto& [words, source] :
       std::vector<std::pair<std::string, std::string>>{
           {"alpha", "alpha"},
           {"beta", "beta"},
           {"gamma", "gamma"},
           {"<delta>", "&lt;delta&gt;"},
           {"\u00e9psilon", "&eacute;psilon"},
           {"zeta", "zeta"},
           {"eta\n\neta", "eta</p><p>eta"}}) {
    const size_t at = page.text.find(words);
    EXPECT_EQ(
        Slice(html, MapToSource(page.source_map, {at, at + words.size()})),
        source);
  }
  EXPECT_EQ(Slice(html, page.blocks[1].source_range), "eta");
}

TEST(Html, ReadsOtherCharsetsWithSourceOffsets) {
  const std::string latin =
      "<meta charset='ISO-8859-1'><p>caf\xE9 \x80 na\xEFve</p>";
  const ParsedDocument page = Parse(latin);
  EXPECT_EQ(page.text, "caf\u00e9 \u20ac na\u00efve");
  EXPECT_EQ(Slice(latin, page.blocks[0].source_range), "caf\xE9 \x80 na\xEFve");
  std::string utf16 = "\xFF\xFE";
  for (char c : std::string("<p>wide</p>")) {
    utf16 += c;
    utf16 += '\0';
  }
  const ParsedDocument wide = Parse(utf16);
  EXPECT_EQ(wide.text, "wide");
  EXPECT_EQ(Slice(utf16, wide.blocks[0].source_range),
            std::string("w\0i\0d\0e\0", 8));
  // Shift_JIS, by a meta of the old form: 0x93FA 0x967B is "\u65e5\u672c".
  EXPECT_EQ(Parse("<meta http-equiv=content-type content='text/html; "
                  "charset=Shift_JIS'><p>\x93\xFA\x96\x7B</p>")
                .text,
            "\u65e5\u672c");
  EXPECT_EQ(Parse("\xEF\xBB\xBF<p>bom</p>").blocks[0].source_range.begin, 6u);
  EXPECT_EQ(DeclaredCharset("<?xml version='1.0' encoding=\"EUC-KR\"?>"),
            "euc-kr");
  for (const char* bad :
       {"<meta charset=nonsense><p>x", "<meta charset=shift_jis><p>\x93"}) {
    EXPECT_EQ(ParseSource(Source("a.html", bad)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(Html, DepthIsEstimatedFromTags) {
  EXPECT_EQ(EstimateHtmlDepth("<div><b><p><p><li></b></div><i></i>"), 2u);
  EXPECT_EQ(EstimateHtmlDepth("<script><div><div></script><!-- <i> --><b>"),
            1u);
  EXPECT_EQ(EstimateHtmlDepth("<svg><td><td><g/></svg>"), 3u);
  EXPECT_EQ(EstimateHtmlDepth("</div></div> a < b"), 0u);
}

std::string Repeat(absl::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text.append(unit.data(), unit.size());
  return text;
}

TEST(Html, HostileMarkupIsReadOrRefusedInTime) {
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(ParseSource(Source("a.html", Repeat("<div>", 5 << 20) + "x"))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  // As deep as is allowed, and nothing recurses.
  EXPECT_TRUE(
      ParseSource(Source("a.html", Repeat("<div>", 4900 * 5) + "x")).ok());
  // Unclosed formatting that each paragraph would open again.
  std::string formatting;
  for (int i = 0; i < 4000; ++i) absl::StrAppend(&formatting, "<b c=", i, ">");
  EXPECT_EQ(ParseSource(Source("a.html", formatting + Repeat("<p>x", 400000)))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  for (const char* unit :
       {"<p>x", "<table><tr><td>x", "<li>x", "<", "&amp", "<!--", "x<br>",
        "<a href=", "</p>", "<svg><td>", "<select><option>x", "&#x10FFFF;"}) {
    auto document = ParseSource(Source("a.html", "x" + Repeat(unit, 200000)));
    if (!document.ok()) {
      EXPECT_EQ(document.status().code(), absl::StatusCode::kResourceExhausted)
          << document.status();
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - started,
            std::chrono::seconds(90));
}

}  // namespace
}  // namespace braid::retrieval
