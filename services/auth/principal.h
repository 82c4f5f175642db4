// Who calls, and what they may do.
#ifndef BRAID_SERVICES_AUTH_PRINCIPAL_H_
#define BRAID_SERVICES_AUTH_PRINCIPAL_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace braid::services::auth {

// Each may do all that those before it may.
enum class Role {
  kReader,  // searches, answers, reads documents
  kWriter,  // ingests, changes and deletes documents
  kAdmin,   // creates and deletes collections, verifies, backs up
};

// `reader`, `writer`, `admin`; nothing for any other name.
std::optional<Role> ParseRole(absl::string_view name);
absl::string_view RoleName(Role role);

// A role in the collections that a pattern names: an id, `*` for all of them
// and for the server itself, or a prefix and `*`.
struct Grant {
  Role role = Role::kReader;
  std::string collections;
};

// Whether `text` can be the pattern of a grant: one `*` at most, at its end.
bool IsCollectionPattern(absl::string_view text);

struct Principal {
  // Unique over all ways to authenticate, and safe in logs: `key:ci`,
  // `jwt:alice`, `certificate:spiffe://prod/crawler`, `anonymous`.
  std::string name;
  std::vector<Grant> grants;
  // Names of its groups: those that the access file gives it, or those that its
  // token claims, whether the file knows them or not.
  std::vector<std::string> groups = {};

  // Whether it has `role` in the collection with this id.
  bool May(Role role, absl::string_view collection) const;
  // Whether it has `role` over the whole server.
  bool MayEverywhere(Role role) const;
};

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_PRINCIPAL_H_
