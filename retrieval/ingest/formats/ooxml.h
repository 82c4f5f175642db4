// What Word, Excel and PowerPoint files have in common: parts, relations,
// properties.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_OOXML_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_OOXML_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/zip_archive.h"

namespace braid::retrieval {

// Relations of one part to others. The kind is the last part of the type's
// address: the same in the strict and in the common variant.
struct OoxmlRelations {
  std::map<std::string, std::string> by_id;    // relation id to part
  std::map<std::string, std::string> by_kind;  // "footnotes" to part
};

// Where a file's content begins.
struct OoxmlContent {
  std::string part;          // that the file's relations name, else the usual
  OoxmlRelations relations;  // of that part
  std::string properties;    // part with title and author; empty for none
};

// Of `part` ("": of the whole file); none if there are none.
absl::StatusOr<OoxmlRelations> ReadRelations(absl::string_view name,
                                             ZipArchive* archive,
                                             const std::string& part);

// `usual_part` is where the content is if the file's relations do not say.
absl::StatusOr<OoxmlContent> FindContent(absl::string_view name,
                                         ZipArchive* archive,
                                         const std::string& usual_part);

// Title, author, subject and keywords of docProps/core.xml or of
// OpenDocument's meta.xml, if there is such a part.
absl::Status ReadProperties(absl::string_view name, ZipArchive* archive,
                            const std::string& part, DocumentBuilder* builder);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_OOXML_H_
