// A service whose calls are passed on, byte for byte, to another process.
#ifndef BRAID_SERVICES_GATEWAY_FORWARDED_SERVICE_H_
#define BRAID_SERVICES_GATEWAY_FORWARDED_SERVICE_H_

#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "services/server/call.h"

namespace braid::services {

// `service` is the full name of one of the API's services; `role` names the
// upstream in errors. Here a caller is authenticated and held to its quota;
// what it may do is for the upstream to decide, which gets the caller's
// credentials. Each direction of a stream waits for the other side's reader, so
// nothing piles up here. `core` must outlive the service.
std::unique_ptr<grpc::Service> MakeForwardedService(
    ServerCore* core, std::shared_ptr<grpc::Channel> upstream,
    const std::string& service, const char* role);

}  // namespace braid::services

#endif  // BRAID_SERVICES_GATEWAY_FORWARDED_SERVICE_H_
