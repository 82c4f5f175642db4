#include "services/config/roles.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace braid::services {
namespace {

absl::Status CheckUpstream(const char* role, bool is_ours, bool gateway,
                           const std::string& address) {
  if (is_ours && !address.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`upstream.", role, "` is set, and `roles` has ", role,
                     ": only one of them can do it"));
  }
  if (!is_ours && gateway && address.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`upstream.", role,
                     "` is missing: the gateway is not "
                     "told where ",
                     role, " runs"));
  }
  if (!gateway && !address.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`upstream.", role, "` is for the gateway, which is not in `roles`"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Roles> RolesOf(const Config& config) {
  Roles roles{false, false, false};
  for (absl::string_view name : absl::StrSplit(config.roles, ',')) {
    name = absl::StripAsciiWhitespace(name);
    if (name == "retrieval") {
      roles.retrieval = true;
    } else if (name == "generation") {
      roles.generation = true;
    } else if (name == "gateway") {
      roles.gateway = true;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("`roles`: `", name,
                       "` is none of retrieval, generation and gateway"));
    }
  }
  for (const absl::Status& status :
       {CheckUpstream("retrieval", roles.retrieval, roles.gateway,
                      config.upstream_retrieval),
        CheckUpstream("generation", roles.generation, roles.gateway,
                      config.upstream_generation)}) {
    if (!status.ok()) return status;
  }
  return roles;
}

}  // namespace braid::services
