#include "retrieval/ingest/formats/odt_parser.h"

#include "retrieval/ingest/formats/office_text.h"
#include "retrieval/ingest/formats/ooxml.h"
#include "retrieval/ingest/formats/open_document.h"

namespace braid::retrieval {

absl::StatusOr<ParsedDocument> ParseOdt(absl::string_view name,
                                        absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  DocumentBuilder builder(name, source);
  OfficeText text(&builder);
  OpenDocumentHandler handler(&text);
  if (absl::Status status = ReadOpenDocument(name, &*archive, &handler);
      !status.ok()) {
    return status;
  }
  text.Finish();
  if (absl::Status status =
          ReadProperties(name, &*archive, "meta.xml", &builder);
      !status.ok()) {
    return status;
  }
  return builder.Finish();
}

}  // namespace braid::retrieval
