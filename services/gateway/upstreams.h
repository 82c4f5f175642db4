// The processes that have the roles this one has not.
#ifndef BRAID_SERVICES_GATEWAY_UPSTREAMS_H_
#define BRAID_SERVICES_GATEWAY_UPSTREAMS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"
#include "services/config/config.h"
#include "services/config/roles.h"

namespace braid::services {

struct Upstreams {
  std::shared_ptr<grpc::Channel> retrieval;   // null: this process
  std::shared_ptr<grpc::Channel> generation;  // null: this process
};

// Channels as [upstream] wants them; calls are spread over all addresses that a
// name stands for. Nothing is connected yet: an upstream may start later, and
// go away and come back. NOT_FOUND naming a file that cannot be read,
// FAILED_PRECONDITION if callers' keys would cross the network in the clear.
absl::StatusOr<Upstreams> MakeUpstreams(const Config& config,
                                        const Roles& roles);

// The error of a call to an upstream as the caller may see it: what Braid said
// with its details, or, of what the transport says (which names addresses),
// that `role` cannot be reached: UNAVAILABLE with the reason
// UPSTREAM_UNREACHABLE.
absl::Status UpstreamError(const grpc::Status& status, absl::string_view role);

}  // namespace braid::services

#endif  // BRAID_SERVICES_GATEWAY_UPSTREAMS_H_
