// Formats of office programs and books.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "retrieval/ingest/formats/json_parser.h"
#include "retrieval/ingest/formats/xml_reader.h"
#include "retrieval/ingest/media_type.h"
#include "tests/ingest/fixtures.h"
#include "tests/ingest/packed_document.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string P(absl::string_view text, absl::string_view properties = "") {
  return absl::StrCat("<w:p><w:pPr>", properties, "</w:pPr><w:r><w:t>", text,
                      "</w:t></w:r></w:p>");
}

std::string Cell(absl::string_view text, int columns = 1) {
  return absl::StrCat("<w:tc><w:tcPr><w:gridSpan w:val='", columns,
                      "'/></w:tcPr>", P(text), "</w:tc>");
}

TEST(Docx, KeepsStructure) {
  const std::string body = absl::StrCat(
      P("The Title", "<w:pStyle w:val='Titel'/>"),
      P("Part one", "<w:pStyle w:val='Mine'/>"),
      "<w:p><w:r><w:t>Plain</w:t><w:tab/><w:t>words</w:t>"
      "<w:footnoteReference w:id='2'/><w:t> go on.</w:t></w:r>"
      "<w:del><w:r><w:t>gone</w:t></w:r></w:del>"
      "<w:r><w:instrText>PAGE</w:instrText></w:r>"
      "<w:r><w:commentReference w:id='0'/></w:r></w:p>",
      P("first", "<w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr>"),
      P("second", "<w:numPr><w:numId w:val='1'/></w:numPr>"),
      P("Deep", "<w:outlineLvl w:val='2'/>"), "<w:tbl><w:tr>", Cell("Name"),
      Cell("Size"), Cell("Color"), "</w:tr><w:tr>", Cell("ant"), Cell("2"),
      Cell("red"), "</w:tr><w:tr>", Cell("both", 2), Cell("blue"),
      "</w:tr></w:tbl>",
      "<w:p><w:r><mc:AlternateContent xmlns:mc='mc'><mc:Choice><w:txbxContent>",
      P("boxed"), "</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent>",
      P("boxed"),
      "</w:txbxContent></mc:Fallback></mc:AlternateContent>"
      "<w:t>around</w:t></w:r></w:p>");
  const std::string docx = MakeDocx(
      body, {{"word/styles.xml",
              "<w:styles xmlns:w='w'><w:style w:styleId='Titel'><w:name "
              "w:val='Title'/></w:style><w:style w:styleId='H2'><w:name "
              "w:val='heading 2'/></w:style><w:style w:styleId='Mine'><w:name "
              "w:val='Mine'/><w:basedOn w:val='H2'/></w:style></w:styles>"},
             {"word/footnotes.xml",
              "<w:footnotes xmlns:w='w'><w:footnote w:type='separator' "
              "w:id='0'><w:p/></w:footnote><w:footnote w:id='2'>" +
                  P("A note.") + "</w:footnote></w:footnotes>"},
             {"word/comments.xml",
              "<w:comments xmlns:w='w'><w:comment w:id='0' w:author='Ann'>" +
                  P("Really?") + "</w:comment></w:comments>"},
             {"docProps/core.xml",
              "<cp:coreProperties xmlns:cp='c' xmlns:dc='d'><dc:title>Known "
              "As</dc:title><dc:creator>Ann Author</dc:creator>"
              "</cp:coreProperties>"}});
  const ParsedDocument document = Read("a.docx", docx);
  EXPECT_THAT(Blocks(document),
              ElementsAre("heading 1: The Title", "heading 2: Part one",
                          "text: Plain\twords go on.", "text: A note.",
                          "text: Ann: Really?", "item: first", "item: second",
                          "heading 3: Deep",
                          "table: Name | Size | Color\n"
                          "Name: ant | Size: 2 | Color: red\n"
                          "Name: both | Color: blue",
                          "text: boxed", "text: around"));
  EXPECT_EQ(document.title, "Known As");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")),
            "Ann Author");
  // The content decides, not the name; a damaged one is said to be.
  EXPECT_EQ(Read("a.txt", docx).text, document.text);
  EXPECT_EQ(Refusal("a.docx", docx.substr(0, docx.size() / 2)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Refusal("a.docx", MakeDocx("")).message()),
              HasSubstr("no text"));
  EXPECT_THAT(std::string(Refusal("a.docx", MakeDocx("<w:p>")).message()),
              HasSubstr("word/document.xml:1: mismatched tag"));
}

TEST(Docx, NestedTablesAndBrokenOnesKeepTheirText) {
  const std::string inner = "<w:tbl><w:tr>" + Cell("in") + "</w:tr></w:tbl>";
  const ParsedDocument document = Read(
      "a.docx", MakeDocx("<w:tbl><w:tr><w:tc>" + P("out") + inner + P("after") +
                         "</w:tc></w:tr></w:tbl>" + P("end")));
  EXPECT_THAT(Blocks(document),
              ElementsAre("table: out in after", "text: end"));
}

TEST(Docx, LongTextInAHeaderRowNamesNoColumn) {
  const std::string prose(200, 'x');
  const ParsedDocument document =
      Read("a.docx",
           MakeDocx(absl::StrCat("<w:tbl><w:tr><w:tblHeader/>", Cell(prose),
                                 Cell("Size"), "</w:tr><w:tr>", Cell("ant"),
                                 Cell("2"), "</w:tr></w:tbl>")));
  EXPECT_THAT(Blocks(document),
              ElementsAre("table: " + prose + " | Size\nant | Size: 2"));
}

TEST(Xlsx, RowsKeepTheirHeaders) {
  const std::string xlsx = MakeZip(
      {{"_rels/.rels",
        "<Relationships><Relationship Id='r' Type='x/officeDocument' "
        "Target='xl/workbook.xml'/></Relationships>"},
       {"xl/workbook.xml",
        "<workbook xmlns:r='http://x/relationships'><sheets><sheet name='Ants' "
        "r:id='s1'/><sheet name='Empty' r:id='s2'/></sheets></workbook>"},
       {"xl/_rels/workbook.xml.rels",
        "<Relationships><Relationship Id='s1' Type='x/worksheet' "
        "Target='worksheets/sheet1.xml'/><Relationship Id='x' "
        "Type='x/sharedStrings' Target='strings.xml'/><Relationship Id='y' "
        "Type='x/styles' Target='styles.xml'/></Relationships>"},
       {"xl/strings.xml",
        "<sst><si><t>Name</t></si><si><r><t>Bo</t></r><r><t>rn</t></r></si>"
        "<si><t>ant</t><rPh><t>sound</t></rPh></si></sst>"},
       {"xl/styles.xml",
        "<styleSheet><numFmts><numFmt numFmtId='170' "
        "formatCode='[$-409]yyyy\\-mm'/><numFmt numFmtId='171' "
        "formatCode='\"day\" 0'/></numFmts><cellXfs><xf numFmtId='0'/><xf "
        "numFmtId='170'/><xf numFmtId='171'/></cellXfs></styleSheet>"},
       {"xl/worksheets/sheet1.xml",
        "<worksheet><sheetData><row><c r='A1' t='s'><v>0</v></c><c r='B1' "
        "t='s'><v>1</v></c><c r='D1' t='inlineStr'><is><t>Wings</t></is></c>"
        "</row><row/><row><c r='A3' t='s'><v>2</v></c><c r='B3' "
        "s='1'><v>45000.5</v></c><c r='C3' s='2'><f>1+1</f><v>2</v></c><c "
        "r='D3' t='b'><v>0</v></c></row><row><c r='A4' "
        "t='s'><v>99</v></c><c r='ZZZZZZ4'><v>7</v></c></row></sheetData>"
        "</worksheet>"}});
  // An unnamed column in the middle: the first row does not name the columns.
  EXPECT_THAT(Blocks(Read("a.xlsx", xlsx)),
              ElementsAre("heading 1: Ants",
                          "table: Name | Born | Wings\n"
                          "ant | 2023-03-15T12:00:00 | 2 | FALSE\n7",
                          "heading 1: Empty"));
}

TEST(Xlsx, AnEmbeddedDocumentDoesNotDecideTheType) {
  // Stored, so that its directory stands as it is before the outer one.
  const std::string xlsx = MakeZip({{"xl/workbook.xml", "<workbook/>"}},
                                   {{"xl/embeddings/a.docx", MakeDocx("")}});
  EXPECT_EQ(DetectMediaType("a", xlsx), media_type::kXlsx);
  EXPECT_EQ(DetectMediaType("a", MakeDocx("")), media_type::kDocx);
  // Without its end only the beginning tells.
  EXPECT_EQ(DetectMediaType("a", MakeDocx("").substr(0, 900)),
            media_type::kDocx);
}

TEST(Odt, KeepsStructure) {
  const std::string content =
      "<office:document-content xmlns:office='o' xmlns:text='t' "
      "xmlns:table='b'><office:body><office:text>"
      "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
      "<text:h text:outline-level='2'>Head<text:s text:c='2'/>ing</text:h>"
      "<text:p>Words<text:note><text:note-citation>1</text:note-citation>"
      "<text:note-body><text:p>A note.</text:p></text:note-body></text:note> "
      "go<text:line-break/>on.</text:p>"
      "<text:list><text:list-item><text:p>item</text:p></text:list-item>"
      "</text:list><table:table><table:table-header-rows><table:table-row>"
      "<table:table-cell><text:p>1</text:p></table:table-cell>"
      "<table:table-cell><text:p>2</text:p></table:table-cell>"
      "</table:table-row></table:table-header-rows><table:table-row>"
      "<table:table-cell table:number-columns-repeated='100000000'/>"
      "<table:table-cell><text:p>lost</text:p></table:table-cell>"
      "</table:table-row><table:table-row><table:table-cell><text:p>a</text:p>"
      "</table:table-cell><table:table-cell><text:p>b</text:p>"
      "</table:table-cell></table:table-row></table:table></office:text>"
      "</office:body></office:document-content>";
  const ZipMembers mimetype = {
      {"mimetype", "application/vnd.oasis.opendocument.text"}};
  const ParsedDocument document =
      Read("a.bin", MakeZip({{"content.xml", content}}, mimetype));
  EXPECT_THAT(Blocks(document),
              ElementsAre("heading 2: Head ing", "text: Words go\non.",
                          "text: 1: A note.", "item: item",
                          "table: 1 | 2\nlost\n1: a | 2: b"));
  const std::string encrypted =
      MakeZip({{"content.xml", "\x01\x02"},
               {"META-INF/manifest.xml", "<m><encryption-data/></m>"}},
              mimetype);
  EXPECT_THAT(std::string(Refusal("a.odt", encrypted).message()),
              HasSubstr("encrypted"));
}

TEST(Epub, ChaptersFollowTheSpine) {
  const std::string epub = MakeEpub(
      "The Book",
      {{"z one.html", "<html><body><h1>One</h1><p>first</p></body></html>"},
       {"a.html", "<html><body><h2>Two</h2><ul><li>x</ul></body></html>"}});
  const std::string linked = absl::StrReplaceAll(epub, {{"nothing here", ""}});
  const ParsedDocument document = Read("a.epub", linked);
  EXPECT_THAT(Blocks(document), ElementsAre("heading 1: One", "text: first",
                                            "heading 2: Two", "item: x"));
  EXPECT_EQ(document.title, "The Book");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "A. Uthor");
  EXPECT_EQ(document.media_type, "application/epub+zip");
  const ZipMembers mimetype = {{"mimetype", "application/epub+zip"}};
  EXPECT_THAT(
      std::string(Refusal("a.epub", MakeZip({{"x", "y"}}, mimetype)).message()),
      HasSubstr("META-INF/container.xml"));
  const absl::Status deep = Refusal(
      "a.epub", MakeEpub("x", {{"bad.html",
                                std::string(60000, '<') + "b>" +
                                    absl::StrReplaceAll(std::string(6000, '.'),
                                                        {{".", "<div>"}})}}));
  EXPECT_EQ(deep.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(deep.message()), HasSubstr("bad.html"));
}

TEST(Doc, ReadsPiecesFieldsAndTables) {
  for (const bool compressed : {true, false}) {
    const std::string doc = MakeDoc(
        "First caf\xE9.\rSee \x13 HYPERLINK x \x14the link\x15 here.\r"
        "Name\x07Size\x07\x07"
        "ant\x07"
        "2\x07\x07"
        "End\x0B of it.\r",
        compressed);
    EXPECT_THAT(
        Blocks(Read("a.doc", doc)),
        ElementsAre("text: First caf\u00e9.", "text: See the link here.",
                    "table: Name | Size\nName: ant | Size: 2",
                    "text: End\n of it."));
  }
  EXPECT_THAT(
      std::string(Refusal("a.doc", MakeDoc("x\r", true, 0x100)).message()),
      HasSubstr("encrypted"));
  const std::string doc = MakeDoc("some words\r", true);
  for (size_t size = 8; size < doc.size(); size += 97) {
    ParseSource(Source("a.doc", doc.substr(0, size))).status().IgnoreError();
  }
}

TEST(Rtf, ReadsTextTablesAndCodePages) {
  const std::string rtf =
      "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Times;}{\\f1\\fcharset204 "
      "Cyr;}}{\\colortbl;\\red0;}{\\info{\\title The "
      "Title}{\\author Ann}}{\\*\\unknown gone}"
      "{\\pard\\outlinelevel0 Head\\par}\\pard caf\\'e9 "
      "{\\f1 \\'cf\\'f0\\'e8}\\f0  \\u26085?\\u-10179 ?\\u-8704 ? \\{x\\}\\par"
      "{\\footnote A note.}"
      "\\trowd\\intbl A\\cell B\\cell\\row\\trowd\\intbl 1\\cell "
      "2\\cell\\row\\pard end{\\pict 00ff}\\bin3 }}}\\emdash\\par}}}";
  const ParsedDocument document = Read("a.txt", rtf);
  EXPECT_THAT(Blocks(document),
              ElementsAre("heading 1: Head",
                          "text: caf\u00e9 \u041f\u0440\u0438 \u65e5\U0001F600 "
                          "{x}",
                          "text: A note.", "table: A | B\nA: 1 | B: 2",
                          "text: end\u2014"));
  EXPECT_EQ(document.title, "The Title");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "Ann");
  EXPECT_EQ(Refusal("a.rtf", "{\\rtf1 " + std::string(2000, '{') + "x").code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Limits, BombsInArchivesAreRefused) {
  // 20 MB of one letter in some tens of kilobytes.
  const std::string flat = MakeDocx(P(std::string(20'000'000, 'x')));
  EXPECT_LT(flat.size(), 40'000u);
  EXPECT_EQ(Refusal("flat.docx", flat).code(),
            absl::StatusCode::kResourceExhausted);
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += "<w:p>";
  // Deep before it is large.
  EXPECT_THAT(
      std::string(
          Refusal("deep.docx", MakeDocx(deep.substr(0, 900'000))).message()),
      HasSubstr("nest deeper"));
  const std::string laughs = MakeZip(
      {{"word/document.xml",
        "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><d>&b;</d>"}});
  EXPECT_THAT(std::string(Refusal("laughs.docx", laughs).message()),
              HasSubstr("declares entities"));
  const std::string outside = MakeZip(
      {{"word/document.xml",
        "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><d>&a;</d>"}});
  EXPECT_THAT(std::string(Refusal("outside.docx", outside).message()),
              HasSubstr("declares entities"));
}

}  // namespace
}  // namespace braid::retrieval
