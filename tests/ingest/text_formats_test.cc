// Formats that are text: encodings, tables, JSON, mail, outlines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "retrieval/ingest/media_type.h"
#include "tests/ingest/test_util.h"

namespace braid::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

ParsedDocument Read(const std::string& name, const std::string& content) {
  auto document = ParseSource(Source(name, content));
  EXPECT_TRUE(document.ok()) << document.status();
  if (!document.ok()) return {};
  CheckAllProperties(*document, content);
  return *std::move(document);
}

absl::Status Refusal(const std::string& name, const std::string& content) {
  const absl::Status status = ParseSource(Source(name, content)).status();
  EXPECT_THAT(std::string(status.message()), StartsWith(name));
  return status;
}

std::vector<std::string> Texts(const ParsedDocument& document) {
  std::vector<std::string> texts;
  for (const Block& block : document.blocks) {
    texts.push_back(Slice(document.text, block.text_range));
  }
  return texts;
}

// What of the source each block comes from.
std::vector<std::string> Sources(const ParsedDocument& document,
                                 const std::string& source) {
  std::vector<std::string> pieces;
  for (const Block& block : document.blocks) {
    EXPECT_EQ(MapToSource(document.source_map, block.text_range),
              block.source_range);
    pieces.push_back(Slice(source, block.source_range));
  }
  return pieces;
}

// UTF-16 or UTF-32 with or without byte order mark, little-endian.
std::string Wide(absl::string_view ascii, size_t width, bool bom) {
  std::string wide;
  auto put = [&](uint32_t c) {
    for (size_t i = 0; i < width; ++i) {
      wide.push_back(static_cast<char>(c >> (8 * i)));
    }
  };
  if (bom) put(0xFEFF);
  for (const char c : ascii) put(static_cast<unsigned char>(c));
  return wide;
}

TEST(Encodings, AreDetectedAndPositionsStayTrue) {
  const std::string english =
      "The quick brown fox jumps over the lazy dog and finds the way home.";
  struct Case {
    const char* what;
    std::string source;
    const char* says;
  };
  const Case cases[] = {
      {"UTF-16 with a mark", Wide(english, 2, true), "brown fox"},
      {"UTF-16 without one", Wide(english, 2, false), "brown fox"},
      {"UTF-32 with a mark", Wide(english, 4, true), "brown fox"},
      {"Latin-1",
       "Le caf\xE9 est ferm\xE9 pendant l'\xE9t\xE9, mais la for\xEAt est "
       "ouverte \xE0 tous les \xE9l\xE8ves de l'\xE9"
       "cole.",
       "caf\u00e9 est ferm\u00e9"},
      {"Windows-1251",
       "\xCF\xF0\xE8\xE2\xE5\xF2, \xFD\xF2\xEE \xF2\xE5\xEA\xF1\xF2 \xED\xE0 "
       "\xF0\xF3\xF1\xF1\xEA\xEE\xEC \xFF\xE7\xFB\xEA\xE5, \xEA\xEE\xF2\xEE"
       "\xF0\xFB\xE9 \xED\xF3\xE6\xED\xEE "
       "\xEF\xF0\xEE\xF7\xE8\xF2\xE0\xF2\xFC.",
       "\u0442\u0435\u043a\u0441\u0442"},
      {"Shift-JIS",
       "\x82\xB1\x82\xEA\x82\xCD\x93\xFA\x96{\x8C\xEA\x82\xCC\x95\xB6\x8F\x91"
       "\x82\xC5\x82\xB7\x81"
       "B\x8A\xBF\x8E\x9A\x82\xC6\x82\xD0\x82\xE7\x82\xAA"
       "\x82\xC8\x82\xF0\x8Eg\x82\xA2\x82\xDC\x82\xB7\x81"
       "B",
       "\u65e5\u672c\u8a9e\u306e\u6587\u66f8"},
      {"GBK",
       "\xD5\xE2\xCA\xC7\xD2\xBB\xB7\xDD\xD6\xD0\xCE\xC4\xCE\xC4\xB5\xB5\xA3"
       "\xAC"
       "\xCE\xD2\xC3\xC7\xD0\xE8\xD2\xAA\xB6\xC1\xC8\xA1\xCB\xFC\xB5\xC4\xC4"
       "\xDA"
       "\xC8\xDD\xA1\xA3",
       "\u4e2d\u6587\u6587\u6863"},
  };
  for (const Case& test : cases) {
    const ParsedDocument document = Read("a.txt", test.source);
    EXPECT_THAT(document.text, HasSubstr(test.says)) << test.what;
    // A word's source range, read in the same way, is the word.
    const size_t at = document.text.find(test.says);
    if (at == std::string::npos) continue;
    const ByteRange source = MapToSource(
        document.source_map, {at, at + std::string(test.says).size()});
    EXPECT_GT(source.size(), 0u) << test.what;
    EXPECT_LE(source.end, test.source.size()) << test.what;
  }
  // To the byte, where both sides have the same bytes.
  const std::string latin = cases[3].source;
  const ParsedDocument document = Read("a.txt", latin);
  const size_t at = document.text.find("pendant");
  EXPECT_EQ(Slice(latin, MapToSource(document.source_map, {at, at + 7})),
            "pendant");
  EXPECT_EQ(Read("a.md", Wide("# Head\n\nwords", 2, true)).title, "Head");
}

TEST(Encodings, WhatIsNoTextIsRefused) {
  std::mt19937 random(20260726);
  std::string noise;
  for (int i = 0; i < 4000; ++i) {
    noise.push_back(static_cast<char>(1 + random() % 255));
  }
  EXPECT_EQ(Refusal("a.txt", noise).code(), absl::StatusCode::kInvalidArgument);
  std::string damaged;
  for (int i = 0; i < 30; ++i) damaged += "\u65e5\u672c\u8a9e\u306e ";
  damaged += "\xE6\x97 end";
  EXPECT_THAT(std::string(Refusal("a.txt", damaged).message()),
              HasSubstr("offset 390"));
}

TEST(Csv, RecordsKeepTheirHeadersAndPlaces) {
  const std::string csv =
      "\xEF\xBB\xBFName;Note;Size\r\nant;\"says \"\"hi\"\";\nand goes\";2\r\n"
      "\r\nbee;;\"3\"\r\n;lonely\r\n";
  const ParsedDocument document = Read("a.csv", csv);
  EXPECT_THAT(Texts(document),
              ElementsAre("Name | Note | Size",
                          "Name: ant | Note: says \"hi\"; and goes | Size: 2",
                          "Name: bee | Size: 3", "Note: lonely"));
  EXPECT_THAT(
      Sources(document, csv),
      ElementsAre("Name;Note;Size", "ant;\"says \"\"hi\"\";\nand goes\";2",
                  "bee;;\"3\"", ";lonely"));
  EXPECT_THAT(Texts(Read("a.csv", "1,2\n3,4\n")),
              ElementsAre("1 | 2", "3 | 4"));
  EXPECT_THAT(Texts(Read("a.tsv", "a\tb\nc\td\n")),
              ElementsAre("a | b", "a: c | b: d"));
  // A quote that is never closed takes its line, not the file.
  EXPECT_THAT(Texts(Read("a.csv", "a,b\n\"x,y\nz,w\n")),
              ElementsAre("a | b", "a: x,y", "a: z | b: w"));
  std::string quotes;
  for (int i = 0; i < 300'000; ++i) quotes += "\"a\n";
  Read("a.csv", quotes.substr(0, 3000));
  EXPECT_TRUE(ParseSource(Source("a.csv", quotes)).ok());
}

TEST(Json, ValuesKeepTheirPathsAndPlaces) {
  const std::string json =
      "{\n \"title\": \"T\", \"a\": {\"b\": [1, -2.50, {\"c\": \"x\\u00e9\"}], "
      "\"n\": null},\n \"ok\": true, \"e\": {}, \"s\": \"\"}";
  const ParsedDocument document = Read("a.json", json);
  EXPECT_EQ(document.title, "T");
  EXPECT_THAT(
      Texts(document),
      ElementsAre("title: T", "a.b[0]: 1\na.b[1]: -2.50\na.b[2].c: x\u00e9",
                  "ok: true"));
  EXPECT_THAT(Sources(document, json),
              ElementsAre("\"title\": \"T\"",
                          "\"a\": {\"b\": [1, -2.50, {\"c\": \"x\\u00e9\"}], "
                          "\"n\": null}",
                          "\"ok\": true"));
  EXPECT_THAT(Texts(Read("x", "[{\"a\": 1}, {\"a\": 2}]")),
              ElementsAre("[0].a: 1", "[1].a: 2"));
  const absl::Status bad = Refusal("a.json", "{\"a\": 1,\n \"b\" 2}");
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(bad.message()), HasSubstr("line 2"));
  EXPECT_THAT(std::string(Refusal("a.json", "{\"a\": 1} x").message()),
              HasSubstr("no JSON"));
}

TEST(Json, LinesAreBlocks) {
  const std::string lines = "{\"a\": 1, \"b\": [2, 3]}\r\n\n{\"a\": 4}\n";
  const ParsedDocument document = Read("noname", lines);
  EXPECT_EQ(document.media_type, "application/jsonl");
  EXPECT_THAT(Texts(document), ElementsAre("a: 1\nb[0]: 2\nb[1]: 3", "a: 4"));
  EXPECT_THAT(Sources(document, lines),
              ElementsAre("{\"a\": 1, \"b\": [2, 3]}", "{\"a\": 4}"));
  EXPECT_THAT(std::string(Refusal("a.jsonl", "{\"a\": 1}\n{x}\n").message()),
              HasSubstr("a.jsonl:2: no JSON"));
}

TEST(Json, DepthAndAmplificationAreRefused) {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 1'000'000; ++i) deep += open;
    EXPECT_EQ(Refusal("deep.json", deep).code(),
              absl::StatusCode::kResourceExhausted);
  }
  // A long path before each of many small values.
  std::string wide = "{\"" + std::string(200'000, 'k') + "\": [";
  for (int i = 0; i < 100'000; ++i) wide += "1,";
  EXPECT_EQ(Refusal("wide.json", wide + "1]}").code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Email, ReadsHeadersAndBodies) {
  const std::string mail =
      "Received: by x\r\n"
      "From: =?utf-8?Q?J=C3=B6rg?= <j@example.com>\r\n"
      "To: a@example.com,\r\n b@example.com\r\n"
      "Subject: =?ISO-8859-1?B?Q2Fm6Q==?=\r\n =?us-ascii?q?_at_noon?=\r\n"
      "Date: Mon, 16 Dec 2024 10:30:00 -0500\r\nMIME-Version: 1.0\r\n"
      "Content-Type: multipart/mixed; boundary=\"out er\"\r\n\r\nignored\r\n"
      "--out er\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
      "--in\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n"
      "--in\r\nContent-Type: text/plain; charset=iso-8859-15\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
      "costs 5 =A4 a=\r\nnd more\r\n--in--\r\n"
      "--out er\r\n\r\nPlain as it is.\r\n\r\nTwo.\r\n"
      "--out er\r\nContent-Type: text/html; charset=utf-8\r\n"
      "Content-Transfer-Encoding: base64\r\n\r\n"
      "PGgyPkhlYWQ8L2gyPjxwPmNhZsOpPC9wPg==\r\n"
      "--out er\r\nContent-Type: message/rfc822\r\n\r\n"
      "Subject: inner\r\nContent-Type: text/plain\r\n\r\nforwarded words\r\n"
      "--out er\r\nContent-Type: application/pdf; name=x.pdf\r\n"
      "Content-Disposition: attachment; filename=\"re "
      "port.pdf\"\r\n\r\nJVBERi0=\r\n"
      "--out er--\r\n";
  const ParsedDocument document = Read("mail", mail);
  EXPECT_EQ(document.media_type, "message/rfc822");
  EXPECT_EQ(document.title, "Caf\u00e9 at noon");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("to")),
            "a@example.com, b@example.com");
  EXPECT_THAT(
      std::get<std::vector<std::string>>(document.metadata.at("attachments")),
      ElementsAre("re port.pdf"));
  EXPECT_THAT(
      Texts(document),
      ElementsAre("Subject: Caf\u00e9 at noon\nFrom: J\u00f6rg "
                  "<j@example.com>\nTo: a@example.com, "
                  "b@example.com\nDate: Mon, 16 Dec 2024 10:30:00 -0500",
                  "costs 5 \u20ac and more", "Plain as it is.", "Two.", "Head",
                  "caf\u00e9", "forwarded words", "Attachments: re port.pdf"));
  const std::vector<std::string> sources = Sources(document, mail);
  EXPECT_THAT(sources[0], StartsWith("Received: by x"));
  EXPECT_EQ(sources[1], "costs 5 =A4 a=\r\nnd more");
  EXPECT_EQ(sources[2], "Plain as it is.");
  EXPECT_EQ(sources[3], "Two.");
  EXPECT_EQ(sources[5], "PGgyPkhlYWQ8L2gyPjxwPmNhZsOpPC9wPg==");
}

TEST(Email, NestingIsBoundedAndBrokenPartsAreRead) {
  std::string deep = "From: a\nDate: b\n";
  for (int i = 0; i < 2000; ++i) {
    deep += absl::StrCat("Content-Type: multipart/mixed; boundary=b", i,
                         "\n\n--b", i, "\n");
  }
  EXPECT_TRUE(ParseSource(Source("a.eml", deep + "\nx")).ok());
  EXPECT_THAT(Texts(Read("a.eml",
                         "Subject: s\nContent-Type: multipart/mixed; "
                         "boundary=b\n\n--b\n\ncut off")),
              ElementsAre("Subject: s", "cut off"));
}

TEST(Outline, SectionsBecomeHeadings) {
  const std::string rst =
      "=====\nTitle\n=====\n\nSome text\nin two lines.\n\nPart\n----\n\n"
      "* item\n\nSub part\n~~~~~~~~\n\nx\n\nNext\n----\n\nshort\n--\n";
  const ParsedDocument document = Read("a.rst", rst);
  EXPECT_EQ(document.title, "Title");
  EXPECT_EQ(document.text, rst);
  std::vector<std::string> headings;
  for (const Block& block : document.blocks) {
    if (block.kind == BlockKind::kHeading) {
      headings.push_back(absl::StrCat(block.level, " ", block.heading));
    }
  }
  EXPECT_THAT(headings,
              ElementsAre("1 Title", "2 Part", "3 Sub part", "2 Next"));

  const std::string org =
      "#+TITLE: The Org\n#+AUTHOR: Ann\n* One\ntext\n#+begin_src c\n* no "
      "heading\n\nint x;\n#+end_src\n** Two\n";
  const ParsedDocument outline = Read("a.org", org);
  EXPECT_EQ(outline.title, "The Org");
  EXPECT_EQ(std::get<std::string>(outline.metadata.at("author")), "Ann");
  EXPECT_THAT(Texts(outline),
              ElementsAre("#+TITLE: The Org\n#+AUTHOR: Ann", "* One", "text",
                          "#+begin_src c\n* no heading\n\nint x;\n#+end_src",
                          "** Two"));
}

TEST(DetectMediaType, LooksInsideWhateverTheName) {
  EXPECT_EQ(DetectMediaType("a.txt", "{\"a\": [1]}"), "application/json");
  EXPECT_EQ(DetectMediaType("a", "[link](x) text"), "text/plain");
  EXPECT_EQ(DetectMediaType("a", "From: x\nDate: y\n\nz"), "message/rfc822");
  EXPECT_EQ(DetectMediaType("a.txt", "Note: this\nis text"), "text/plain");
  EXPECT_EQ(DetectMediaType("a.docx", "{\\rtf1 x}"), "application/rtf");
  EXPECT_EQ(DetectMediaType("a.csv", "%PDF-1.4"), "application/pdf");
}

}  // namespace
}  // namespace braid::retrieval
