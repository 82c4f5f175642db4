#include "services/auth/principal.h"

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace braid::services::auth {
namespace {

bool Matches(absl::string_view pattern, absl::string_view collection) {
  if (absl::ConsumeSuffix(&pattern, "*")) {
    return absl::StartsWith(collection, pattern);
  }
  return collection == pattern;
}

}  // namespace

std::optional<Role> ParseRole(absl::string_view name) {
  for (const Role role : {Role::kReader, Role::kWriter, Role::kAdmin}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kReader:
      return "reader";
    case Role::kWriter:
      return "writer";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

bool IsCollectionPattern(absl::string_view text) {
  if (text.empty()) return false;
  absl::ConsumeSuffix(&text, "*");
  return !absl::StrContains(text, '*');
}

bool Principal::May(Role role, absl::string_view collection) const {
  for (const Grant& grant : grants) {
    if (grant.role >= role && Matches(grant.collections, collection)) {
      return true;
    }
  }
  return false;
}

bool Principal::MayEverywhere(Role role) const {
  for (const Grant& grant : grants) {
    if (grant.role >= role && grant.collections == "*") return true;
  }
  return false;
}

}  // namespace braid::services::auth
