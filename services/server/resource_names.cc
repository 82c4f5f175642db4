#include "services/server/resource_names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/text.h"

namespace braid::services {
namespace {

constexpr size_t kMaxCollectionIdBytes = 63;
constexpr absl::string_view kCollections = "collections/";
constexpr absl::string_view kDocuments = "/documents/";
constexpr absl::string_view kOperations = "operations/";
constexpr size_t kMaxOperationIdBytes = 64;

}  // namespace

absl::Status CheckCollectionId(absl::string_view id) {
  bool good = !id.empty() && id.size() <= kMaxCollectionIdBytes &&
              absl::ascii_islower(id[0]);
  for (const char c : id) {
    good =
        good && (absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-');
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a collection id is 1 to 63 characters of a-z, 0-9 and `-`, beginning "
      "with a letter");
}

absl::Status CheckDocumentId(absl::string_view id, size_t max_bytes) {
  if (id.empty() || id.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a document id is 1 to ", max_bytes, " bytes"));
  }
  if (!IsUtf8(id) || HasControlCharacters(id)) {
    return absl::InvalidArgumentError(
        "a document id is UTF-8 without control characters");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ParseCollectionName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kCollections)) {
    return absl::InvalidArgumentError("must be `collections/{collection}`");
  }
  absl::Status status = CheckCollectionId(name);
  if (!status.ok()) return status;
  return std::string(name);
}

absl::StatusOr<DocumentName> ParseDocumentName(absl::string_view name,
                                               size_t max_document_id_bytes) {
  // A collection id holds no `/`, so the first `/documents/` is the separator
  // whatever the document id holds.
  const size_t separator = name.find(kDocuments);
  if (separator == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        "must be `collections/{collection}/documents/{document}`");
  }
  absl::StatusOr<std::string> collection =
      ParseCollectionName(name.substr(0, separator));
  if (!collection.ok()) return collection.status();
  const absl::string_view document = name.substr(separator + kDocuments.size());
  absl::Status status = CheckDocumentId(document, max_document_id_bytes);
  if (!status.ok()) return status;
  return DocumentName{*std::move(collection), std::string(document)};
}

absl::StatusOr<std::string> ParseOperationName(absl::string_view name) {
  bool good = absl::ConsumePrefix(&name, kOperations) && !name.empty() &&
              name.size() <= kMaxOperationIdBytes;
  for (const char c : name) {
    good =
        good && (absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-');
  }
  if (good) return std::string(name);
  return absl::InvalidArgumentError("must be `operations/{operation}`");
}

std::string FormatCollectionName(absl::string_view collection) {
  return absl::StrCat(kCollections, collection);
}

std::string FormatDocumentName(absl::string_view collection,
                               absl::string_view document) {
  return absl::StrCat(kCollections, collection, kDocuments, document);
}

std::string FormatOperationName(absl::string_view operation) {
  return absl::StrCat(kOperations, operation);
}

}  // namespace braid::services
