// The RPCs of braid.v1 by name.
#ifndef BRAID_SERVICES_SERVER_RPC_NAMES_H_
#define BRAID_SERVICES_SERVER_RPC_NAMES_H_

#include <string>
#include <vector>

namespace braid::services {

// `braid.v1.RetrievalService` and its like.
std::vector<std::string> ServiceNames();

// As logs and metrics have them: `RetrievalService/Search`.
std::vector<std::string> RpcNames();

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_RPC_NAMES_H_
