// Documents in packed formats, made here from what they should say.
#ifndef BRAID_TESTS_INGEST_FIXTURES_H_
#define BRAID_TESTS_INGEST_FIXTURES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace braid::retrieval {

using ZipMembers = std::vector<std::pair<std::string, std::string>>;

// A zip archive; `stored` members come first and uncompressed.
std::string MakeZip(const ZipMembers& members, const ZipMembers& stored = {});

// A Word document of these elements of <w:body>, with further members.
std::string MakeDocx(absl::string_view body, const ZipMembers& more = {});

// A presentation of these slides (name, elements of <p:spTree>), in this order,
// with further members: ppt/commentAuthors.xml and ppt/authors.xml are those
// who comment, ppt/slides/_rels/NAME.rels what a slide refers to.
std::string MakePptx(const ZipMembers& slides, const ZipMembers& more = {});

// An EPUB of these chapters (name, XHTML), its spine in this order.
std::string MakeEpub(absl::string_view title, const ZipMembers& chapters);

// A PDF with a page for each content stream, in Helvetica as /F1; `catalog` is
// added to the catalog, `objects` are further objects, from number 4 on.
std::string MakePdf(const std::vector<std::string>& pages,
                    absl::string_view catalog = "",
                    const std::vector<std::string>& objects = {},
                    absl::string_view trailer = "");

// The content stream of lines of text, from the top of a page.
std::string PdfLines(const std::vector<std::string>& lines, int size = 12);

// A Word 97 document of this text (in its own control characters), in 1252 if
// `compressed`, else in UTF-16; `flags` as in its header.
std::string MakeDoc(absl::string_view text, bool compressed, int flags = 0);

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_INGEST_FIXTURES_H_
