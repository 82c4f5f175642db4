// Names that documents list their readers by (retrieval/viewer.h): what a
// caller is called, as `key:ci`, `jwt:alice`,
// `certificate:spiffe://prod/crawler` or `anonymous`; `group:staff` for a group
// of the access file or of a token; and
// `*` for every caller.
#ifndef BRAID_SERVICES_AUTH_READER_NAMES_H_
#define BRAID_SERVICES_AUTH_READER_NAMES_H_

#include "absl/strings/string_view.h"
#include "retrieval/viewer.h"
#include "services/auth/principal.h"

namespace braid::services::auth {

// Whether a document may list it. Says nothing of whether there is such a
// caller: there may be one tomorrow.
bool IsReaderName(absl::string_view name);

// What `principal` sees in `collection`: everything if it may write to it, for
// then it may change who reads as well; otherwise what lists its name, one of
// its groups, or `*`.
retrieval::Viewer ViewerOf(const Principal& principal,
                           absl::string_view collection);

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_READER_NAMES_H_
