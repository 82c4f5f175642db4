#include "retrieval/ingest/formats/ooxml.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/xml_reader.h"

namespace braid::retrieval {
namespace {

class RelationsHandler : public XmlHandler {
 public:
  RelationsHandler(const std::string& part, OoxmlRelations* relations)
      : part_(part), relations_(relations) {}

  void Start(const XmlElement& element) override {
    if (element.name() != "Relationship" ||
        element.attribute("TargetMode") == "External") {
      return;
    }
    const std::string target =
        ResolveZipPath(part_, element.attribute("Target"));
    const absl::string_view type = element.attribute("Type");
    const absl::string_view kind = type.substr(type.rfind('/') + 1);
    relations_->by_id.emplace(element.attribute("Id"), target);
    relations_->by_kind.emplace(kind, target);
  }
  void End(absl::string_view) override {}
  void Text(absl::string_view) override {}

 private:
  const std::string& part_;
  OoxmlRelations* const relations_;
};

class PropertiesHandler : public XmlHandler {
 public:
  explicit PropertiesHandler(DocumentBuilder* builder) : builder_(builder) {}
  void Start(const XmlElement&) override { text_.clear(); }
  void End(absl::string_view name) override {
    if (name == "title") builder_->SetTitle(text_);
    if (name == "creator") builder_->SetMetadata("author", text_);
    if (name == "subject") builder_->SetMetadata("subject", text_);
    if (name == "keywords") builder_->SetMetadata("keywords", text_);
    text_.clear();
  }
  void Text(absl::string_view text) override { absl::StrAppend(&text_, text); }

 private:
  DocumentBuilder* const builder_;
  std::string text_;
};

}  // namespace

absl::StatusOr<OoxmlRelations> ReadRelations(absl::string_view name,
                                             ZipArchive* archive,
                                             const std::string& part) {
  OoxmlRelations relations;
  const size_t slash = part.rfind('/');
  const size_t base = slash == std::string::npos ? 0 : slash + 1;
  const std::string member =
      absl::StrCat(part.substr(0, base), "_rels/", part.substr(base), ".rels");
  if (!archive->Has(member)) return relations;
  absl::StatusOr<std::string> xml = archive->Read(member);
  if (!xml.ok()) return xml.status();
  RelationsHandler handler(part, &relations);
  if (absl::Status status = ReadXml(name, member, *xml, &handler);
      !status.ok()) {
    return status;
  }
  return relations;
}

absl::StatusOr<OoxmlContent> FindContent(absl::string_view name,
                                         ZipArchive* archive,
                                         const std::string& usual_part) {
  absl::StatusOr<OoxmlRelations> file = ReadRelations(name, archive, "");
  if (!file.ok()) return file.status();
  OoxmlContent content;
  content.part = file->by_kind["officeDocument"];
  if (content.part.empty()) content.part = usual_part;
  // The two variants of the format spell it differently.
  content.properties = file->by_kind["core-properties"];
  if (content.properties.empty()) {
    content.properties = file->by_kind["coreProperties"];
  }
  absl::StatusOr<OoxmlRelations> relations =
      ReadRelations(name, archive, content.part);
  if (!relations.ok()) return relations.status();
  content.relations = *std::move(relations);
  return content;
}

absl::Status ReadProperties(absl::string_view name, ZipArchive* archive,
                            const std::string& part, DocumentBuilder* builder) {
  if (!archive->Has(part)) return absl::OkStatus();
  absl::StatusOr<std::string> xml = archive->Read(part);
  if (!xml.ok()) return xml.status();
  PropertiesHandler handler(builder);
  return ReadXml(name, part, *xml, &handler);
}

}  // namespace braid::retrieval
