// The HTTP(S) address of a server.
#ifndef BRAID_SERVICES_SERVER_HTTP_FRONT_H_
#define BRAID_SERVICES_SERVER_HTTP_FRONT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "services/adapters/adapters.h"
#include "services/server/call.h"

namespace braid::services {

// Serves `http_address` of the configuration, with [tls] where it is set, over
// the server's own channel. Null if there is none. `core` must outlive it.
// Errors name the setting.
absl::StatusOr<std::unique_ptr<adapters::HttpAdapters>> StartHttp(
    ServerCore* core, std::shared_ptr<grpc::Channel> channel);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_HTTP_FRONT_H_
