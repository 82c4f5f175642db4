// The text of SmartArt diagrams (dgm:dataModel of ISO/IEC 29500).
#ifndef BRAID_RETRIEVAL_INGEST_FORMATS_DIAGRAM_READER_H_
#define BRAID_RETRIEVAL_INGEST_FORMATS_DIAGRAM_READER_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "retrieval/ingest/formats/office_text.h"
#include "retrieval/ingest/formats/xml_reader.h"

namespace braid::retrieval {

// A diagram is a tree of points that have text, stored as a list of points, in
// the order in which they were made, and one of connections.
class DiagramReader : public XmlHandler {
 public:
  void Start(const XmlElement& element) override;
  void End(absl::string_view name) override;
  void Text(absl::string_view text) override;

  // Adds what was read: each paragraph a list item, points below the one they
  // belong to.
  void AddTo(OfficeText* text) const;

 private:
  struct Point {
    bool has_text = false;
    std::vector<std::string> paragraphs;
  };
  struct Connection {
    std::string parent;
    std::string child;
    int order = 0;  // among the children
  };

  std::vector<Point> points_;
  std::map<std::string, size_t> by_id_;  // into points_
  std::vector<Connection> connections_;
  bool in_paragraph_ = false;
  bool in_text_ = false;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FORMATS_DIAGRAM_READER_H_
