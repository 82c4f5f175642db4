// What OpenDocument text and presentations (ISO/IEC 26300) have in common.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_OPEN_DOCUMENT_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_OPEN_DOCUMENT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/formats/office_text.h"
#include "retrieval/ingest/formats/xml_reader.h"
#include "retrieval/ingest/formats/zip_archive.h"

namespace braid::retrieval {

// Headings, paragraphs, list items, tables, notes and annotations. Tables of
// contents and tracked deletions are left out.
class OpenDocumentHandler : public XmlHandler {
 public:
  // `text` is where it goes; must outlive this.
  explicit OpenDocumentHandler(OfficeText* text) : text_(text) {}

  void Start(const XmlElement& element) override;
  void End(absl::string_view name) override;
  void Text(absl::string_view text) override;

  // Where it goes from now on.
  void set_text(OfficeText* text) { text_ = text; }

 private:
  void StartTablePart(const XmlElement& element);
  void StartInNote(absl::string_view name);
  void EndNote();

  OfficeText* text_;
  int skipped_ = 0;  // depth in what is left out
  int list_depth_ = 0;
  bool in_header_ = false;
  int note_depth_ = 0;
  std::string note_;
  size_t note_begin_ = 0;  // behind its number or its author
};

// Reads content.xml. INVALID_ARGUMENT if there is none, or if it needs a
// password, and otherwise as ReadXml.
absl::Status ReadOpenDocument(absl::string_view name, ZipArchive* archive,
                              XmlHandler* handler);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_OPEN_DOCUMENT_H_
