#include "tests/ingest/fixtures.h"

#include <zip.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace braid::retrieval {
namespace {

void Check(bool ok) {
  if (!ok) std::abort();
}

void Add(zip_t* archive, const std::string& name, const std::string& content,
         bool stored) {
  zip_source_t* source =
      zip_source_buffer(archive, content.data(), content.size(), 0);
  const zip_int64_t index = zip_file_add(archive, name.c_str(), source, 0);
  Check(index >= 0);
  if (stored)
    Check(zip_set_file_compression(archive, index, ZIP_CM_STORE, 0) == 0);
}

void PutU16(std::string* bytes, size_t at, uint32_t value) {
  if (bytes->size() < at + 2) bytes->resize(at + 2);
  (*bytes)[at] = static_cast<char>(value);
  (*bytes)[at + 1] = static_cast<char>(value >> 8);
}

void PutU32(std::string* bytes, size_t at, uint32_t value) {
  PutU16(bytes, at, value & 0xFFFF);
  PutU16(bytes, at + 2, value >> 16);
}

}  // namespace

std::string MakeZip(const ZipMembers& members, const ZipMembers& stored) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* target = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(target);
  zip_t* archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
  Check(archive != nullptr);
  for (const auto& [name, content] : stored) Add(archive, name, content, true);
  for (const auto& [name, content] : members) {
    Add(archive, name, content, false);
  }
  Check(zip_close(archive) == 0);
  Check(zip_source_open(target) == 0);
  zip_stat_t stat;
  Check(zip_source_stat(target, &stat) == 0);
  std::string bytes(stat.size, '\0');
  Check(zip_source_read(target, bytes.data(), bytes.size()) ==
        static_cast<zip_int64_t>(bytes.size()));
  zip_source_close(target);
  zip_source_free(target);
  return bytes;
}

std::string MakeDocx(absl::string_view body, const ZipMembers& more) {
  ZipMembers members = {
      {"[Content_Types].xml", "<Types/>"},
      {"_rels/.rels",
       "<Relationships><Relationship Id='r1' "
       "Type='http://x/relationships/officeDocument' "
       "Target='word/document.xml'/><Relationship Id='r2' "
       "Type='http://x/metadata/core-properties' "
       "Target='docProps/core.xml'/></Relationships>"},
      {"word/_rels/document.xml.rels",
       "<Relationships><Relationship Id='1' Type='http://x/styles' "
       "Target='styles.xml'/><Relationship Id='2' Type='http://x/footnotes' "
       "Target='/word/footnotes.xml'/><Relationship Id='3' "
       "Type='http://x/comments' Target='comments.xml'/></Relationships>"},
      {"word/document.xml", absl::StrCat("<?xml version='1.0'?><w:document "
                                         "xmlns:w='http://schemas/w'><w:body>",
                                         body, "</w:body></w:document>")}};
  members.insert(members.end(), more.begin(), more.end());
  return MakeZip(members);
}

std::string MakePptx(const ZipMembers& slides, const ZipMembers& more) {
  std::string list;
  std::string relations =
      "<Relationship Id='a' Type='http://x/commentAuthors' "
      "Target='commentAuthors.xml'/><Relationship Id='b' "
      "Type='http://x/authors' Target='authors.xml'/>";
  ZipMembers members = {{"_rels/.rels",
                         "<Relationships><Relationship Id='r1' "
                         "Type='http://x/relationships/officeDocument' "
                         "Target='ppt/presentation.xml'/><Relationship Id='r2' "
                         "Type='http://x/metadata/core-properties' "
                         "Target='docProps/core.xml'/></Relationships>"}};
  for (const auto& [name, shapes] : slides) {
    absl::StrAppend(&list, "<p:sldId id='1' r:id='", name, "'/>");
    absl::StrAppend(&relations, "<Relationship Id='", name,
                    "' Type='http://x/slide' Target='slides/", name, "'/>");
    members.emplace_back(
        "ppt/slides/" + name,
        absl::StrCat("<p:sld xmlns:p='p' xmlns:a='a' xmlns:mc='mc' "
                     "xmlns:dgm='d' xmlns:r='http://x/relationships'><p:cSld>"
                     "<p:spTree>",
                     shapes, "</p:spTree></p:cSld></p:sld>"));
  }
  members.emplace_back(
      "ppt/presentation.xml",
      absl::StrCat("<p:presentation xmlns:p='p' "
                   "xmlns:r='http://x/relationships'><p:sldIdLst>",
                   list, "</p:sldIdLst></p:presentation>"));
  members.emplace_back(
      "ppt/_rels/presentation.xml.rels",
      absl::StrCat("<Relationships>", relations, "</Relationships>"));
  members.insert(members.end(), more.begin(), more.end());
  return MakeZip(members);
}

std::string MakeEpub(absl::string_view title, const ZipMembers& chapters) {
  std::string manifest, spine;
  ZipMembers members;
  for (const auto& [name, html] : chapters) {
    absl::StrAppend(&manifest, "<item id='", name, "' href='text/", name,
                    "' media-type='application/xhtml+xml'/>");
    absl::StrAppend(&spine, "<itemref idref='", name, "'/>");
    members.emplace_back("OEBPS/text/" + name, html);
  }
  members.emplace_back("META-INF/container.xml",
                       "<container><rootfiles><rootfile "
                       "full-path='OEBPS/book.opf'/></rootfiles></container>");
  members.emplace_back(
      "OEBPS/book.opf",
      absl::StrCat(
          "<package xmlns:dc='http://purl'><metadata><dc:title>", title,
          "</dc:title><dc:creator>A. Uthor</dc:creator>"
          "</metadata><manifest>",
          manifest, "</manifest><spine>", spine, "</spine></package>"));
  return MakeZip(members, {{"mimetype", "application/epub+zip"}});
}

std::string PdfLines(const std::vector<std::string>& lines, int size) {
  std::string content =
      absl::StrCat("BT /F1 ", size, " Tf 72 720 Td ", size + 2, " TL\n");
  for (const std::string& line : lines) {
    absl::StrAppend(&content, "(", line, ") Tj T*\n");
  }
  return content + "ET\n";
}

std::string MakePdf(const std::vector<std::string>& pages,
                    absl::string_view catalog,
                    const std::vector<std::string>& objects,
                    absl::string_view trailer) {
  // 1 catalog, 2 pages, 3 font, the further ones, then page and content pairs.
  const size_t first_page = 4 + objects.size();
  std::string kids;
  for (size_t i = 0; i < pages.size(); ++i) {
    absl::StrAppend(&kids, first_page + 2 * i, " 0 R ");
  }
  std::vector<std::string> all = {
      absl::StrCat("<</Type/Catalog/Pages 2 0 R ", catalog, ">>"),
      absl::StrCat("<</Type/Pages/Count ", pages.size(), "/Kids[", kids, "]>>"),
      "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"};
  all.insert(all.end(), objects.begin(), objects.end());
  for (size_t i = 0; i < pages.size(); ++i) {
    all.push_back(absl::StrCat(
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 "
        "3 0 R>>>>/Contents ",
        first_page + 2 * i + 1, " 0 R>>"));
    all.push_back(absl::StrCat("<</Length ", pages[i].size(), ">>stream\n",
                               pages[i], "\nendstream"));
  }
  std::string pdf = "%PDF-1.4\n";
  std::string table =
      absl::StrCat("xref\n0 ", all.size() + 1, "\n0000000000 65535 f \n");
  for (size_t i = 0; i < all.size(); ++i) {
    absl::StrAppendFormat(&table, "%010d 00000 n \n", pdf.size());
    absl::StrAppend(&pdf, i + 1, " 0 obj\n", all[i], "\nendobj\n");
  }
  const size_t start = pdf.size();
  return absl::StrCat(pdf, table, "trailer<</Size ", all.size() + 1,
                      "/Root 1 0 R ", trailer, ">>\nstartxref\n", start,
                      "\n%%EOF\n");
}

std::string MakeDoc(absl::string_view text, bool compressed, int flags) {
  constexpr uint32_t kEnd = 0xFFFFFFFE;
  constexpr uint32_t kSector = 512;
  constexpr uint32_t kTextAt = 0x400;
  // Streams of at least 4,096 bytes, so that there is no mini stream.
  std::string document(kTextAt, '\0');
  PutU16(&document, 0, 0xA5EC);
  PutU16(&document, 2, 0x00C1);
  PutU16(&document, 10, static_cast<uint32_t>(flags));
  PutU32(&document, 0x4C, static_cast<uint32_t>(text.size()));
  PutU32(&document, 0x01A2, 0);
  PutU32(&document, 0x01A6, 5 + 16);
  for (const char c : text) {
    if (compressed) {
      document.push_back(c);
    } else {
      PutU16(&document, document.size(), static_cast<unsigned char>(c));
    }
  }
  document.resize((std::max<size_t>(document.size(), 4096) + kSector - 1) /
                  kSector * kSector);
  std::string table;
  table.push_back(2);
  PutU32(&table, 1, 16);
  PutU32(&table, 5, 0);
  PutU32(&table, 9, static_cast<uint32_t>(text.size()));
  PutU16(&table, 13, 0);
  PutU32(&table, 15, compressed ? (kTextAt * 2) | 0x40000000 : kTextAt);
  PutU16(&table, 19, 0);
  table.resize(4096);
  // Sectors: 0 the allocation table, 1 the directory, then the two streams.
  const uint32_t document_sectors =
      static_cast<uint32_t>(document.size() / kSector);
  const uint32_t table_sectors = static_cast<uint32_t>(table.size() / kSector);
  Check(2 + document_sectors + table_sectors <= kSector / 4);
  std::string fat;
  PutU32(&fat, 0, 0xFFFFFFFD);
  PutU32(&fat, 4, kEnd);
  uint32_t sector = 2;
  for (const uint32_t count : {document_sectors, table_sectors}) {
    for (uint32_t i = 0; i < count; ++i, ++sector) {
      PutU32(&fat, 4 * sector, i + 1 == count ? kEnd : sector + 1);
    }
  }
  while (fat.size() < kSector) PutU32(&fat, fat.size(), 0xFFFFFFFF);
  std::string directory(kSector, '\0');
  auto entry = [&directory](size_t at, const std::string& name, char type,
                            uint32_t first, uint32_t size) {
    for (size_t i = 0; i < name.size(); ++i) directory[at + 2 * i] = name[i];
    PutU16(&directory, at + 64, static_cast<uint32_t>(2 * name.size() + 2));
    directory[at + 66] = type;
    PutU32(&directory, at + 116, first);
    PutU32(&directory, at + 120, size);
  };
  entry(0, "Root Entry", 5, kEnd, 0);
  entry(128, "WordDocument", 2, 2, static_cast<uint32_t>(document.size()));
  entry(256, "0Table", 2, 2 + document_sectors,
        static_cast<uint32_t>(table.size()));
  std::string header("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8);
  header.resize(kSector);
  PutU16(&header, 30, 9);
  PutU16(&header, 32, 6);
  PutU32(&header, 44, 1);
  PutU32(&header, 48, 1);
  PutU32(&header, 56, 4096);
  PutU32(&header, 60, kEnd);
  PutU32(&header, 68, kEnd);
  for (size_t at = 76; at < kSector; at += 4) PutU32(&header, at, 0xFFFFFFFF);
  PutU32(&header, 76, 0);
  return header + fat + directory + document + table;
}

}  // namespace braid::retrieval
