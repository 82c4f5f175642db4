// Presentations of PowerPoint and OpenDocument.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "retrieval/ingest/media_type.h"
#include "tests/ingest/fixtures.h"
#include "tests/ingest/packed_document.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Blocks with the page in front.
std::vector<std::string> PagedBlocks(const ParsedDocument& document) {
  std::vector<std::string> blocks = Blocks(document);
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i] = absl::StrCat(document.blocks[i].page, " ", blocks[i]);
  }
  return blocks;
}

std::string P(absl::string_view text, absl::string_view properties = "") {
  return absl::StrCat("<a:p>", properties, "<a:r><a:rPr/><a:t>", text,
                      "</a:t></a:r></a:p>");
}

// A shape with these paragraphs; `placeholder` as <p:ph> has its attributes.
std::string Shape(absl::string_view paragraphs,
                  absl::string_view placeholder = "") {
  return absl::StrCat(
      "<p:sp><p:nvSpPr><p:nvPr>",
      placeholder.empty() ? "" : absl::StrCat("<p:ph ", placeholder, "/>"),
      "</p:nvPr></p:nvSpPr><p:spPr><a:custGeom><a:pt/></a:custGeom></p:spPr>"
      "<p:txBody><a:bodyPr/><a:lstStyle/>",
      paragraphs, "</p:txBody></p:sp>");
}

std::string Title(absl::string_view text) {
  return Shape(P(text), "type='title'");
}

std::string Frame(absl::string_view graphic) {
  return absl::StrCat("<p:graphicFrame><a:graphic><a:graphicData>", graphic,
                      "</a:graphicData></a:graphic></p:graphicFrame>");
}

std::string Cell(absl::string_view text) {
  return absl::StrCat("<a:tc><a:txBody>", P(text), "</a:txBody></a:tc>");
}

// What a slide refers to: kinds, ids and targets.
std::string Relations(
    const std::vector<std::pair<std::string, std::string>>& targets) {
  std::string xml = "<Relationships>";
  for (const auto& [kind, target] : targets) {
    absl::StrAppend(&xml, "<Relationship Id='", kind, "' Type='http://x/", kind,
                    "' Target='", target, "'/>");
  }
  return xml + "</Relationships>";
}

TEST(Pptx, SlidesComeInOrderUnderTheirTitles) {
  const std::string pptx = MakePptx(
      {{"slide3.xml",
        // The title need not come first.
        Shape(P("A subtitle"), "type='subTitle'") +
            Shape("<a:p><a:r><a:t>The </a:t></a:r><a:br/><a:r><a:t>Deck</a:t>"
                  "</a:r></a:p>",
                  "type='ctrTitle'")},
       {"slide1.xml", Shape(P("No title here."))},
       {"picture.xml", "<p:pic/>"},
       {"slide2.xml",
        Title("Points") +
            Shape(P("first") + P("under it", "<a:pPr lvl='1'/>") +
                      P("a paragraph", "<a:pPr><a:buNone/></a:pPr>"),
                  "idx='1'") +
            Shape(P("plain") + P("marked", "<a:pPr><a:buChar/></a:pPr>")) +
            "<p:grpSp><p:grpSp>" + Shape(P("deep in groups")) +
            "</p:grpSp></p:grpSp>" + Shape(P("1 May"), "type='dt'") +
            Shape(P("Confidential"), "type='ftr'") +
            Shape(P("4"), "type='sldNum'") +
            Shape("<a:p><a:r><a:t>Page </a:t></a:r><a:fld type='slidenum'>"
                  "<a:t>4</a:t></a:fld></a:p>") +
            Title("A second title")}},
      {{"docProps/core.xml",
        "<cp:coreProperties xmlns:cp='c' xmlns:dc='d'><dc:title>PowerPoint "
        "Presentation</dc:title><dc:creator>Ann Author</dc:creator>"
        "</cp:coreProperties>"},
       {"ppt/slideMasters/slideMaster1.xml",
        Shape(P("Click to edit"), "type='title'")}});
  const ParsedDocument document = Read("a.pptx", pptx);
  EXPECT_THAT(
      PagedBlocks(document),
      ElementsAre("1 heading 1: The Deck", "1 text: A subtitle",
                  "2 heading 1: Slide 2", "2 text: No title here.",
                  "4 heading 1: Points", "4 item: first", "4 item: under it",
                  "4 text: a paragraph", "4 text: plain", "4 item: marked",
                  "4 text: deep in groups", "4 text: Page",
                  "4 text: A second title"));
  EXPECT_EQ(document.title, "The Deck");
  EXPECT_EQ(document.media_type, media_type::kPptx);
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")),
            "Ann Author");
  EXPECT_EQ(std::get<double>(document.metadata.at("pages")), 4);
  // The content decides, not the name.
  EXPECT_EQ(Read("a.txt", pptx).text, document.text);
  // Without a title on the first slide, the file's own is taken.
  EXPECT_EQ(
      Read("a.pptx",
           MakePptx({{"a.xml", Shape(P("x"))}, {"b.xml", Title("Later")}},
                    {{"docProps/core.xml",
                      "<c xmlns:dc='d'><dc:title>Known As</dc:title></c>"}}))
          .title,
      "Known As");
}

TEST(Pptx, TablesDiagramsCommentsAndNotes) {
  const std::string table = "<a:tbl><a:tblPr firstRow='1'/><a:tr>" +
                            Cell("2023") + Cell("2024") + "</a:tr><a:tr>" +
                            Cell("12") + Cell("15") + "</a:tr></a:tbl>";
  const std::string unmarked = absl::StrReplaceAll(table, {{"'1'", "'0'"}});
  const std::string slide =
      Title("All of it") + Frame("<dgm:relIds r:dm='diagramData'/>") +
      Frame(table) + Frame(unmarked) + "<mc:AlternateContent><mc:Choice>" +
      Shape(P("new form")) + "</mc:Choice><mc:Choice>" +
      Shape(P("another form")) + "</mc:Choice><mc:Fallback>" +
      Shape(P("old form")) + "</mc:Fallback></mc:AlternateContent>";
  const std::string names = "xmlns:p='p' xmlns:a='a'";
  const std::string pptx = MakePptx(
      {{"one.xml", slide}, {"two.xml", Title("Next") + Shape(P("end"))}},
      {{"ppt/slides/_rels/one.xml.rels",
        Relations({{"diagramData", "../diagrams/data1.xml"},
                   {"notesSlide", "/ppt/notesSlides/notes1.xml"},
                   {"comments", "../comments/comment1.xml"}})},
       {"ppt/slides/_rels/two.xml.rels",
        Relations({{"comments", "../comments/modern.xml"},
                   // Of the other slide: taken there.
                   {"notesSlide", "../notesSlides/notes1.xml"}})},
       {"ppt/diagrams/data1.xml",
        // In the order in which they were made: the tree is in what follows.
        "<d:dataModel xmlns:d='d' xmlns:a='a'><d:ptLst><d:pt modelId='0' "
        "type='doc'/><d:pt modelId='build'><d:t>\n" +
            P("Build") + "\n</d:t></d:pt><d:pt modelId='plan'><d:t>" +
            P("Plan") + P("early") +
            "</d:t></d:pt><d:pt modelId='4' type='parTrans'><d:t>" +
            P("arrow") +
            "</d:t></d:pt><d:pt modelId='ask' type='node'><d:spPr><a:pt/>"
            "</d:spPr><d:t>" +
            P("Ask") + "</d:t></d:pt><d:pt modelId='round'><d:t>" + P("Round") +
            "</d:t></d:pt></d:ptLst><d:cxnLst><d:cxn srcId='0' destId='build' "
            "srcOrd='1'/><d:cxn srcId='0' destId='plan' srcOrd='0'/><d:cxn "
            "srcId='plan' destId='ask' srcOrd='0'/><d:cxn type='presOf' "
            "srcId='ask' destId='0'/><d:cxn srcId='ask' destId='plan'/><d:cxn "
            "srcId='round' destId='round'/>"
            "</d:cxnLst></d:dataModel>"},
       {"ppt/notesSlides/notes1.xml",
        "<p:notes " + names + "><p:cSld><p:spTree>" +
            Shape(P("7"), "type='sldImg'") +
            Shape(P("Say this.") + P("And that."), "type='body'") +
            Shape(P("1"), "type='sldNum'") + "</p:spTree></p:cSld></p:notes>"},
       {"ppt/commentAuthors.xml",
        "<p:cmAuthorLst xmlns:p='p'><p:cmAuthor id='0' name='Ann'/>"
        "</p:cmAuthorLst>"},
       {"ppt/comments/comment1.xml",
        "<p:cmLst xmlns:p='p'><p:cm authorId='0'><p:text>Really?</p:text>"
        "</p:cm><p:cm authorId='9'><p:text>Nobody says so.</p:text></p:cm>"
        "<p:cm authorId='0'><p:text> </p:text></p:cm></p:cmLst>"},
       {"ppt/authors.xml",
        "<m:authorLst xmlns:m='m'><m:author id='{B}' name='Bo'/>"
        "</m:authorLst>"},
       {"ppt/comments/modern.xml",
        "<m:cmLst xmlns:m='m' xmlns:a='a'><m:cm authorId='{B}'><m:replyLst>"
        "<m:reply authorId='0'><m:txBody>" +
            P("Because.") + "</m:txBody></m:reply></m:replyLst><m:txBody>" +
            P("Why?") + "</m:txBody></m:cm></m:cmLst>"}});
  EXPECT_THAT(
      PagedBlocks(Read("a.pptx", pptx)),
      ElementsAre("1 heading 1: All of it", "1 item: Plan", "1 item: early",
                  "1 item: Ask", "1 item: Build", "1 item: Round",
                  "1 table: 2023 | 2024\n2023: 12 | 2024: 15",
                  "1 table: 2023 | 2024\n12 | 15", "1 text: new form",
                  "1 text: Ann: Really?", "1 text: Nobody says so.",
                  "1 heading 2: Notes", "1 text: Say this.",
                  "1 text: And that.", "2 heading 1: Next", "2 text: end",
                  "2 text: Bo: Why?", "2 text: Ann: Because."));
}

TEST(Pptx, WhatIsNotThereIsPassedOver) {
  auto with_relations = [](const std::string& relations) {
    return MakeZip(
        {{"ppt/presentation.xml",
          "<p xmlns:r='http://x/relationships'><sldId r:id='gone'/><sldId "
          "r:id='outside'/><sldId r:id='web'/><sldId id='7'/><sldId "
          "r:id='there'/><sldId r:id='there'/></p>"},
         {"ppt/_rels/presentation.xml.rels", relations},
         {"ppt/s.xml", "<s><sp><p><t>words</t></p></sp></s>"}});
  };
  // A slide keeps its number; one that is named twice is read once.
  EXPECT_THAT(
      PagedBlocks(Read(
          "a.pptx",
          with_relations(
              "<R><Relationship Id='gone' Type='x/slide' Target='no.xml'/>"
              "<Relationship Id='outside' Type='x/slide' "
              "Target='../../../../etc/passwd'/><Relationship Id='web' "
              "Type='x/slide' Target='s.xml' TargetMode='External'/>"
              "<Relationship Id='there' Type='x/slide' Target='s.xml'/></R>"))),
      ElementsAre("4 heading 1: Slide 4", "4 text: words"));
  for (const char* relations : {"<R/>", "<R><Relationship Id='there'/></R>"}) {
    const absl::Status none = Refusal("a.pptx", with_relations(relations));
    EXPECT_EQ(none.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(none.message()), HasSubstr("none of the slides"));
  }
}

TEST(Pptx, BadOnesAreRefusedWithWhatIsWrong) {
  const std::string good = MakePptx({{"a.xml", Title("Title")}});
  for (size_t size = 4; size < good.size(); size += 11) {
    EXPECT_EQ(Refusal("a.pptx", good.substr(0, size)).code(),
              absl::StatusCode::kInvalidArgument);
  }
  struct Case {
    std::string pptx;
    absl::StatusCode code;
    const char* says;
  };
  std::string groups;
  for (int i = 0; i < 10'000; ++i) groups += "<p:grpSp>";
  std::string ends = absl::StrReplaceAll(groups, {{"<", "</"}});
  const Case cases[] = {
      {MakePptx({}), absl::StatusCode::kInvalidArgument, "no text"},
      {MakePptx({{"a.xml", "<p:pic/>"}}), absl::StatusCode::kInvalidArgument,
       "no text"},
      {MakePptx({{"a.xml", "<p:sp>"}}), absl::StatusCode::kInvalidArgument,
       "ppt/slides/a.xml:1: mismatched tag"},
      {MakePptx({{"a.xml", groups + Shape(P("x")) + ends}}),
       absl::StatusCode::kResourceExhausted, "nest deeper"},
      {MakePptx({{"a.xml", Shape(P(std::string(20'000'000, 'x')))}}),
       absl::StatusCode::kResourceExhausted, "over"},
      {MakePptx({{"a.xml", Title("x")}},
                {{"ppt/slides/_rels/a.xml.rels",
                  Relations({{"notesSlide", "notes.xml"}})},
                 {"ppt/slides/notes.xml",
                  "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><d/>"}}),
       absl::StatusCode::kInvalidArgument, "declares entities"},
      {MakeZip({{"ppt/presentation.xml", "<p>"}}),
       absl::StatusCode::kInvalidArgument, "ppt/presentation.xml:1"},
      {MakeZip({{"ppt/slides/slide1.xml", "<p/>"}}),
       absl::StatusCode::kInvalidArgument, "no ppt/presentation.xml"},
      // What PowerPoint makes of a password: an OLE file around the archive.
      {std::string("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8) +
           std::string("E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0", 32),
       absl::StatusCode::kInvalidArgument, "is encrypted"},
  };
  for (const Case& test : cases) {
    const absl::Status status = Refusal("a.pptx", test.pptx);
    EXPECT_EQ(status.code(), test.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.says));
  }
}

// A presentation of these elements of <office:presentation>.
std::string MakeOdp(absl::string_view pages, const ZipMembers& more = {}) {
  ZipMembers members = {
      {"content.xml",
       absl::StrCat(
           "<office:document-content xmlns:office='o' xmlns:text='t' "
           "xmlns:table='b' xmlns:draw='d' xmlns:presentation='p' "
           "xmlns:dc='c' xmlns:meta='m'><office:automatic-styles><s>x</s>"
           "</office:automatic-styles><office:body><office:presentation>"
           "<presentation:footer-decl>Footer</presentation:footer-decl>",
           pages,
           "</office:presentation></office:body></office:document-content>")}};
  members.insert(members.end(), more.begin(), more.end());
  return MakeZip(
      members,
      {{"mimetype", "application/vnd.oasis.opendocument.presentation"}});
}

std::string OdpFrame(absl::string_view kind, absl::string_view content) {
  return absl::StrCat("<draw:frame presentation:class='", kind,
                      "'><draw:text-box>", content,
                      "</draw:text-box></draw:frame>");
}

TEST(Odp, SlidesComeUnderTheirTitles) {
  const std::string pages =
      "<draw:page draw:name='page1'>" +
      OdpFrame("subtitle", "<text:p>A subtitle</text:p>") +
      OdpFrame("title",
               "<text:p>The</text:p><text:p>Deck<text:line-break/>!</text:p>") +
      OdpFrame("date-time", "<text:p>1 May</text:p>") +
      OdpFrame("footer", "<text:p>Confidential</text:p>") +
      OdpFrame("page-number",
               "<text:p><text:page-number>1</text:page-number></text:p>") +
      "<presentation:notes><draw:page-thumbnail/>" +
      OdpFrame("header", "<text:p>Head</text:p>") +
      OdpFrame("notes", "<text:p>Say <text:s text:c='2'/>this.</text:p>") +
      "</presentation:notes></draw:page>"
      "<draw:page><draw:g><draw:custom-shape><text:p>boxed <text:page-number>2"
      "</text:page-number></text:p></draw:custom-shape></draw:g>" +
      OdpFrame("outline",
               "<text:list><text:list-item><text:p>first</text:p><text:list>"
               "<text:list-item><text:p>under it</text:p></text:list-item>"
               "</text:list></text:list-item></text:list>") +
      "<draw:frame><table:table table:use-first-row-styles='true'>"
      "<table:table-row><table:table-cell><text:p>2023</text:p>"
      "</table:table-cell><table:table-cell><text:p>2024</text:p>"
      "</table:table-cell></table:table-row><table:table-row>"
      "<table:table-cell><text:p>12</text:p></table:table-cell>"
      "<table:table-cell><text:p>15</text:p></table:table-cell>"
      "</table:table-row></table:table></draw:frame><office:annotation>"
      "<dc:creator>Ann</dc:creator><dc:date>2024</dc:date>"
      "<meta:creator-initials>A</meta:creator-initials>"
      "<text:p>Really?</text:p></office:annotation><office:annotation>"
      "<dc:creator>Bo</dc:creator><text:p> </text:p></office:annotation>"
      "</draw:page>"
      "<draw:page/><draw:page>" +
      OdpFrame("title", "<text:p>End</text:p>") + "</draw:page>";
  const std::string odp =
      MakeOdp(pages, {{"meta.xml",
                       "<m xmlns:dc='c'><dc:title>Template</dc:title>"
                       "<dc:creator>Ann Author</dc:creator></m>"},
                      {"styles.xml", "<s><p>Click to edit</p></s>"}});
  const ParsedDocument document = Read("a.bin", odp);
  EXPECT_THAT(PagedBlocks(document),
              ElementsAre("1 heading 1: The Deck !", "1 text: A subtitle",
                          "1 heading 2: Notes", "1 text: Say   this.",
                          "2 heading 1: Slide 2", "2 text: boxed",
                          "2 item: first", "2 item: under it",
                          "2 table: 2023 | 2024\n2023: 12 | 2024: 15",
                          "2 text: Ann: Really?", "4 heading 1: End"));
  EXPECT_EQ(document.title, "The Deck !");
  EXPECT_EQ(document.media_type, media_type::kOpenDocumentPresentation);
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")),
            "Ann Author");
  EXPECT_EQ(std::get<double>(document.metadata.at("pages")), 4);
}

TEST(Odp, BadOnesAreRefusedWithWhatIsWrong) {
  EXPECT_THAT(std::string(Refusal("a.odp", MakeOdp("<draw:page/>")).message()),
              HasSubstr("no text"));
  EXPECT_THAT(std::string(Refusal("a.odp", MakeOdp("<draw:page>")).message()),
              HasSubstr("content.xml:1: mismatched tag"));
  EXPECT_THAT(
      std::string(Refusal("a.odp", MakeOdp("", {{"META-INF/manifest.xml",
                                                 "<m><encryption-data/></m>"}}))
                      .message()),
      HasSubstr("encrypted"));
  const absl::Status bomb = Refusal(
      "a.odp",
      MakeOdp("<draw:page>" +
              OdpFrame("title", "<text:p>" + std::string(20'000'000, 'x') +
                                    "</text:p>") +
              "</draw:page>"));
  EXPECT_EQ(bomb.code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace braid::retrieval
