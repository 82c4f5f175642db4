#include "retrieval/ingest/formats/epub_parser.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/document_builder.h"
#include "retrieval/ingest/formats/xml_reader.h"
#include "retrieval/ingest/formats/zip_archive.h"
#include "retrieval/ingest/html_parser.h"

namespace braid::retrieval {
namespace {

constexpr char kContainer[] = "META-INF/container.xml";

// Where the package document is.
class ContainerHandler : public XmlHandler {
 public:
  void Start(const XmlElement& element) override {
    if (element.name() == "rootfile" && package.empty()) {
      package = ResolveZipPath("", element.attribute("full-path"));
    }
  }
  void End(absl::string_view) override {}
  void Text(absl::string_view) override {}

  std::string package;
};

// The package document: what is in the book and in which order.
class PackageHandler : public XmlHandler {
 public:
  PackageHandler(const std::string& package, DocumentBuilder* builder)
      : package_(package), builder_(builder) {}

  void Start(const XmlElement& element) override {
    text_.clear();
    const std::string id(element.attribute("id"));
    if (element.name() == "item") {
      const absl::string_view type = element.attribute("media-type");
      if (absl::StrContains(type, "html") &&
          !absl::StrContains(element.attribute("properties"), "nav")) {
        items_[id] = ResolveZipPath(package_, element.attribute("href"));
      }
    } else if (element.name() == "itemref") {
      const auto item = items_.find(std::string(element.attribute("idref")));
      // Each once, however often a bomb names it.
      if (item != items_.end() && seen_.insert(item->second).second) {
        chapters.push_back(item->second);
      }
    }
  }
  void End(absl::string_view name) override {
    if (name == "title") builder_->SetTitle(text_);
    if (name == "creator") builder_->SetMetadata("author", text_);
    if (name == "subject") builder_->SetMetadata("subject", text_);
    text_.clear();
  }
  void Text(absl::string_view text) override { absl::StrAppend(&text_, text); }

  std::vector<std::string> chapters;

 private:
  const std::string& package_;
  DocumentBuilder* const builder_;
  std::map<std::string, std::string> items_;
  std::set<std::string> seen_;
  std::string text_;
};

class EpubReader {
 public:
  EpubReader(absl::string_view name, absl::string_view source,
             ZipArchive* archive)
      : name_(name), archive_(archive), builder_(name, source) {}

  absl::StatusOr<ParsedDocument> Read() {
    ContainerHandler container;
    if (absl::Status status = ReadPart(kContainer, &container); !status.ok()) {
      return status;
    }
    PackageHandler package(container.package, &builder_);
    if (absl::Status status = ReadPart(container.package, &package);
        !status.ok()) {
      return status;
    }
    for (const std::string& chapter : package.chapters) {
      if (absl::Status status = AddChapter(chapter); !status.ok()) {
        return status;
      }
    }
    if (builder_.empty() && archive_->Has("META-INF/encryption.xml")) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": is encrypted (digital rights management)"));
    }
    return builder_.Finish();
  }

 private:
  absl::Status ReadPart(const std::string& part, XmlHandler* handler) {
    return ReadXmlPart(name_, archive_, part, handler);
  }

  absl::Status AddChapter(const std::string& chapter) {
    absl::StatusOr<std::string> html = archive_->Read(chapter);
    // A book may name what it lacks: the rest is read all the same.
    if (absl::IsNotFound(html.status())) return absl::OkStatus();
    if (!html.ok()) return html.status();
    absl::StatusOr<ParsedDocument> document =
        ParseHtml(absl::StrCat(name_, ": ", chapter), *html);
    if (!document.ok()) {
      if (archive_->Has("META-INF/encryption.xml")) return absl::OkStatus();
      return document.status();
    }
    builder_.AddDocument(*document);
    return builder_.status();
  }

  const absl::string_view name_;
  ZipArchive* const archive_;
  DocumentBuilder builder_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseEpub(absl::string_view name,
                                         absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  return EpubReader(name, source, &*archive).Read();
}

}  // namespace braid::retrieval
