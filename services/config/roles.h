// What of the service a process does.
#ifndef BRAID_SERVICES_CONFIG_ROLES_H_
#define BRAID_SERVICES_CONFIG_ROLES_H_

#include "absl/status/statusor.h"
#include "services/config/config.h"

namespace braid::services {

struct Roles {
  // Stores, indexes and searches documents: has the data directory, the encoder
  // and the reranker.
  bool retrieval = true;
  // Answers from passages and completes prompts: has the model.
  bool generation = true;
  // Answers questions with the two others, and passes on the calls of a role
  // that another process has.
  bool gateway = true;
};

// `config.roles`, a list with commas between. INVALID_ARGUMENT naming the
// setting for an unknown or missing role, a gateway that is not told where the
// rest is, or an address of what the process does itself.
absl::StatusOr<Roles> RolesOf(const Config& config);

}  // namespace braid::services

#endif  // BRAID_SERVICES_CONFIG_ROLES_H_
