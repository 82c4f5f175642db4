// Whatever a document holds, parsing ends in blocks that lie in its text or in
// an error. The first byte chooses the format. Of packed formats the part with
// the text is what varies: no mutation gets through a checksum.
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>

#include "retrieval/ingest/parser.h"
#include "tests/ingest/fixtures.h"

namespace {

using braid::retrieval::MakeZip;

constexpr char kRelations[] =
    "<Relationships><Relationship Id='r1' Type='x/worksheet' "
    "Target='sheet.xml'/><Relationship Id='r2' Type='x/sharedStrings' "
    "Target='strings.xml'/><Relationship Id='r3' Type='x/styles' "
    "Target='styles.xml'/><Relationship Id='r4' Type='x/footnotes' "
    "Target='notes.xml'/></Relationships>";

std::string Docx(const std::string& body) {
  return MakeZip({}, {{"word/document.xml", body},
                      {"word/_rels/document.xml.rels", kRelations},
                      {"word/styles.xml", body},
                      {"word/notes.xml", body}});
}

std::string Xlsx(const std::string& sheet) {
  return MakeZip(
      {}, {{"xl/workbook.xml",
            "<workbook xmlns:r='relationships'><sheet name='s' "
            "r:id='r1'/></workbook>"},
           {"xl/_rels/workbook.xml.rels", kRelations},
           {"xl/strings.xml", "<sst><si><t>a</t></si><si><t>b</t></si></sst>"},
           {"xl/styles.xml", sheet},
           {"xl/sheet.xml", sheet}});
}

std::string Pptx(const std::string& slide) {
  return MakeZip(
      {},
      {{"ppt/presentation.xml",
        "<p xmlns:r='relationships'><sldId r:id='r1'/></p>"},
       {"ppt/_rels/presentation.xml.rels",
        "<R><Relationship Id='r1' Type='x/slide' Target='slide.xml'/>"
        "<Relationship Id='r2' Type='x/authors' Target='authors.xml'/></R>"},
       {"ppt/_rels/slide.xml.rels",
        "<R><Relationship Id='r1' Type='x/notesSlide' Target='notes.xml'/>"
        "<Relationship Id='r2' Type='x/comments' Target='comments.xml'/>"
        "<Relationship Id='r3' Type='x/diagramData' Target='data.xml'/>"
        "</R>"},
       {"ppt/slide.xml", slide},
       {"ppt/notes.xml", slide},
       {"ppt/comments.xml", slide},
       {"ppt/authors.xml", slide},
       {"ppt/data.xml", slide}});
}

// `kind` is text or presentation.
std::string OpenDocument(const std::string& kind, const std::string& content) {
  return MakeZip({},
                 {{"mimetype", "application/vnd.oasis.opendocument." + kind},
                  {"content.xml", content},
                  {"meta.xml", content}});
}

std::string Epub(const std::string& package) {
  return MakeZip(
      {}, {{"mimetype", "application/epub+zip"},
           {"META-INF/container.xml", "<c><rootfile full-path='p'/></c>"},
           {"p", package},
           {"a.html", "<p>a"}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const char* const kTypes[] = {
      "text/html",         "text/markdown",
      "text/plain",        "",
      "text/csv",          "application/json",
      "application/jsonl", "message/rfc822",
      "application/rtf",   "application/msword",
      "text/x-rst",        "text/x-org"};
  constexpr size_t kPlain = std::size(kTypes);
  braid::retrieval::SourceFile source;
  source.document_id = "fuzz";
  source.file_name = "fuzz";
  std::string content(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (const size_t format = data[0] % (kPlain + 6); format) {
    case kPlain:
      source.content = Docx(content);
      break;
    case kPlain + 1:
      source.content = Xlsx(content);
      break;
    case kPlain + 2:
      source.content = OpenDocument("text", content);
      break;
    case kPlain + 3:
      source.content = Epub(content);
      break;
    case kPlain + 4:
      source.content = Pptx(content);
      break;
    case kPlain + 5:
      source.content = OpenDocument("presentation", content);
      break;
    default:
      source.media_type = kTypes[format];
      source.content = std::move(content);
  }
  auto parsed = braid::retrieval::ParseSource(source);
  if (!parsed.ok()) return 0;
  uint64_t end = 0;
  for (const braid::retrieval::Block& block : parsed->blocks) {
    if (block.text_range.begin < end ||
        block.text_range.end < block.text_range.begin ||
        block.text_range.end > parsed->text.size() ||
        block.source_range.end < block.source_range.begin ||
        block.source_range.end > source.content.size()) {
      std::abort();
    }
    end = block.text_range.end;
  }
  return 0;
}
