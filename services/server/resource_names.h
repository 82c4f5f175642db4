// Resource names: `collections/{collection}`,
// `collections/{collection}/documents/{document}` and `operations/{operation}`.
#ifndef BRAID_SERVICES_SERVER_RESOURCE_NAMES_H_
#define BRAID_SERVICES_SERVER_RESOURCE_NAMES_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::services {

struct DocumentName {
  std::string collection;
  std::string document;  // may hold `/`
};

// INVALID_ARGUMENT with the rule that was broken, for use as the description of
// a field violation.
absl::Status CheckCollectionId(absl::string_view id);
absl::Status CheckDocumentId(absl::string_view id, size_t max_bytes);

// Parse whole names, strictly. Errors as above.
absl::StatusOr<std::string> ParseCollectionName(absl::string_view name);
absl::StatusOr<DocumentName> ParseDocumentName(absl::string_view name,
                                               size_t max_document_id_bytes);

// The id: 1 to 64 of a-z, 0-9 and `-`.
absl::StatusOr<std::string> ParseOperationName(absl::string_view name);

std::string FormatCollectionName(absl::string_view collection);
std::string FormatDocumentName(absl::string_view collection,
                               absl::string_view document);
std::string FormatOperationName(absl::string_view operation);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_RESOURCE_NAMES_H_
