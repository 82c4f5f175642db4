// The RPCs of braid.v1 by name.
#ifndef BRAID_SERVICES_SERVER_RPC_NAMES_H_
#define BRAID_SERVICES_SERVER_RPC_NAMES_H_

#include <string>
#include <vector>

#include "services/config/roles.h"

namespace braid::services {

// `braid.v1.RetrievalService` and its like: what a process with these roles
// serves. A gateway serves everything, itself or by passing calls on.
std::vector<std::string> ServiceNames(const Roles& roles);

// As logs and metrics have them: `RetrievalService/Search`.
std::vector<std::string> RpcNames();

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_RPC_NAMES_H_
