// Opaque page tokens.
#ifndef BRAID_SERVICES_SERVER_PAGE_TOKEN_H_
#define BRAID_SERVICES_SERVER_PAGE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::services {

// A token for the page after the entry `last`. It is bound to `scope` (the
// method and everything that must not change between pages), so a token of
// another list or filter is refused rather than giving a wrong page. Not a
// secret: it protects against mistakes, and permissions are checked per page.
std::string MakePageToken(absl::string_view scope, absl::string_view last);

// `last` of a token made for `scope`; INVALID_ARGUMENT for anything else.
absl::StatusOr<std::string> ParsePageToken(absl::string_view scope,
                                           absl::string_view token);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_PAGE_TOKEN_H_
