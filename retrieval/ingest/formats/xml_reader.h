// XML as a stream of events, under limits.
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_XML_READER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_XML_READER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/formats/zip_archive.h"

namespace braid::retrieval {

// An element's name without its namespace, and its attributes likewise: the
// office formats are told apart by their files, and the strict variant of OOXML
// differs from the common one in its namespaces only.
class XmlElement {
 public:
  XmlElement(absl::string_view name, const char** attributes)
      : name_(name), attributes_(attributes) {}
  absl::string_view name() const { return name_; }
  // Empty if there is none. `name` may be given as "ns:name" to tell r:id from
  // id, where ns is the last part of the namespace's address.
  absl::string_view attribute(absl::string_view name) const;

 private:
  const absl::string_view name_;
  const char** const attributes_;
};

class XmlHandler {
 public:
  virtual ~XmlHandler() = default;
  virtual void Start(const XmlElement& element) = 0;
  virtual void End(absl::string_view name) = 0;
  virtual void Text(absl::string_view text) = 0;
};

inline constexpr int kMaxXmlDepth = 1000;

// Reads `xml` to its end. INVALID_ARGUMENT starting with `name` (and naming
// `part` and the line) for what is not well-formed or declares entities of its
// own; RESOURCE_EXHAUSTED where elements nest deeper than kMaxXmlDepth.
absl::Status ReadXml(absl::string_view name, absl::string_view part,
                     absl::string_view xml, XmlHandler* handler);

// The same for a part of an archive; INVALID_ARGUMENT if it is not there.
absl::Status ReadXmlPart(absl::string_view name, ZipArchive* archive,
                         const std::string& part, XmlHandler* handler);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_XML_READER_H_
