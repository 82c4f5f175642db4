#include "retrieval/ingest/formats/xml_reader.h"

#include <expat.h>

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

constexpr char kSeparator = '\x1F';  // between a namespace and a local name

absl::string_view LocalName(absl::string_view name) {
  const size_t separator = name.rfind(kSeparator);
  return separator == absl::string_view::npos ? name
                                              : name.substr(separator + 1);
}

struct ParserCloser {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};

struct Reading {
  XML_Parser parser;
  XmlHandler* handler;
  int depth = 0;
  bool too_deep = false;
  bool has_entities = false;
};

void OnStart(void* user, const XML_Char* name, const XML_Char** attributes) {
  auto* reading = static_cast<Reading*>(user);
  if (++reading->depth > kMaxXmlDepth) {
    reading->too_deep = true;
    XML_StopParser(reading->parser, XML_FALSE);
    return;
  }
  reading->handler->Start(XmlElement(LocalName(name), attributes));
}

void OnEnd(void* user, const XML_Char* name) {
  auto* reading = static_cast<Reading*>(user);
  --reading->depth;
  reading->handler->End(LocalName(name));
}

void OnText(void* user, const XML_Char* text, int size) {
  static_cast<Reading*>(user)->handler->Text(
      absl::string_view(text, static_cast<size_t>(size)));
}

// No office file needs entities; bombs do.
void OnEntity(void* user, const XML_Char*, int, const XML_Char*, int,
              const XML_Char*, const XML_Char*, const XML_Char*,
              const XML_Char*) {
  auto* reading = static_cast<Reading*>(user);
  reading->has_entities = true;
  XML_StopParser(reading->parser, XML_FALSE);
}

}  // namespace

absl::string_view XmlElement::attribute(absl::string_view name) const {
  const size_t colon = name.find(':');
  const bool qualified = colon != absl::string_view::npos;
  const absl::string_view local = qualified ? name.substr(colon + 1) : name;
  for (const char** at = attributes_; *at != nullptr; at += 2) {
    const absl::string_view full = at[0];
    if (LocalName(full) != local) continue;
    if (qualified) {
      const size_t separator = full.rfind(kSeparator);
      if (separator == absl::string_view::npos ||
          !absl::EndsWith(full.substr(0, separator), name.substr(0, colon))) {
        continue;
      }
    }
    return at[1];
  }
  return {};
}

absl::Status ReadXml(absl::string_view name, absl::string_view part,
                     absl::string_view xml, XmlHandler* handler) {
  std::unique_ptr<XML_ParserStruct, ParserCloser> parser(
      XML_ParserCreateNS(nullptr, kSeparator));
  if (parser == nullptr) throw std::bad_alloc();
  Reading reading = {parser.get(), handler};
  XML_SetUserData(parser.get(), &reading);
  XML_SetElementHandler(parser.get(), OnStart, OnEnd);
  XML_SetCharacterDataHandler(parser.get(), OnText);
  XML_SetEntityDeclHandler(parser.get(), OnEntity);
  // In pieces: its sizes are int.
  constexpr size_t kPiece = 1 << 20;
  XML_Status status = XML_STATUS_OK;
  do {
    const absl::string_view piece = xml.substr(0, kPiece);
    xml.remove_prefix(piece.size());
    status = XML_Parse(parser.get(), piece.data(),
                       static_cast<int>(piece.size()), xml.empty());
  } while (status == XML_STATUS_OK && !xml.empty());
  if (status == XML_STATUS_OK) return absl::OkStatus();
  if (reading.too_deep) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, ": ", part, ": elements nest deeper than ",
                     kMaxXmlDepth, " levels"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      name, ": ", part, ":", XML_GetCurrentLineNumber(parser.get()), ": ",
      reading.has_entities ? "declares entities of its own"
                           : XML_ErrorString(XML_GetErrorCode(parser.get()))));
}

absl::Status ReadXmlPart(absl::string_view name, ZipArchive* archive,
                         const std::string& part, XmlHandler* handler) {
  const absl::StatusOr<std::string> xml = archive->Read(part);
  if (absl::IsNotFound(xml.status())) {
    return absl::InvalidArgumentError(xml.status().message());
  }
  if (!xml.ok()) return xml.status();
  return ReadXml(name, part, *xml, handler);
}

}  // namespace braid::retrieval
