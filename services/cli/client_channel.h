// The channel to a server: its TLS and the key that every call shows.
#ifndef BRAID_SERVICES_CLI_CLIENT_CHANNEL_H_
#define BRAID_SERVICES_CLI_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>

#include "absl/status/statusor.h"
#include "services/config/config.h"

namespace braid::services::cli {

// A channel to `config.address` as [client] wants it. INVALID_ARGUMENT or
// NOT_FOUND naming a file that cannot be read, FAILED_PRECONDITION for a key
// that would cross the network in the clear.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeClientChannel(
    const Config& config);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_CLIENT_CHANNEL_H_
