#include "services/auth/reader_names.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/text.h"

namespace braid::services::auth {

bool IsReaderName(absl::string_view name) {
  if (name == "*" || name == "anonymous") return true;
  for (const absl::string_view kind :
       {"key:", "jwt:", "certificate:", "group:"}) {
    if (absl::ConsumePrefix(&name, kind)) {
      return !name.empty() && !HasControlCharacters(name) && IsUtf8(name);
    }
  }
  return false;
}

retrieval::Viewer ViewerOf(const Principal& principal,
                           absl::string_view collection) {
  if (principal.May(Role::kWriter, collection)) {
    return retrieval::Viewer::All();
  }
  std::vector<std::string> names = {"*", principal.name};
  for (const std::string& group : principal.groups) {
    names.push_back(absl::StrCat("group:", group));
  }
  return retrieval::Viewer::Named(std::move(names));
}

}  // namespace braid::services::auth
