// The access file: who there is, and what each may do. TOML:
//
//   [[key]]                       # a bearer key, made by `braid keys create`
//   name = "crawler"
//   sha256 = "9f86d0…"            # of the key, lower-case hex
//   expires = 2027-06-30T00:00:00Z  # may be left out
//   groups = ["staff"]
//   grants = [{ role = "writer", collections = ["docs", "team-*"] }]
//
//   [[certificate]]               # a client certificate
//   name = "spiffe://prod/crawler"  # a subject alternative name, or the common
//   grants = [...]                  # name of one without
//
//   [[group]]                     # of keys, certificates, and the `groups` of
//   name = "staff"                # tokens
//   grants = [{ role = "reader", collections = ["*"] }]
#ifndef BRAID_SERVICES_AUTH_ACCESS_FILE_H_
#define BRAID_SERVICES_AUTH_ACCESS_FILE_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/auth/principal.h"

namespace braid::services::auth {

struct KnownKey {
  Principal principal;  // with its groups and their grants
  absl::Time expires = absl::InfiniteFuture();
};

// Immutable once read.
struct AccessPolicy {
  absl::flat_hash_map<std::string, KnownKey> keys;  // by lower-case SHA-256
  absl::flat_hash_map<std::string, Principal> certificates;  // by name
  absl::flat_hash_map<std::string, std::vector<Grant>> groups;
};

// INVALID_ARGUMENT naming file, line and key for an unknown key, a wrong type,
// a name or digest that is there twice, a group that is not there, a grant
// without collections. `file` is for messages.
absl::StatusOr<AccessPolicy> ParseAccess(const std::string& content,
                                         const std::string& file);

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_ACCESS_FILE_H_
