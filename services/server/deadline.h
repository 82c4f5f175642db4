// When work must end: moments of the steady clock, so that nothing ends early
// or late where the wall clock is set.
#ifndef BRAID_SERVICES_SERVER_DEADLINE_H_
#define BRAID_SERVICES_SERVER_DEADLINE_H_

#include <chrono>
#include <optional>

#include "absl/time/time.h"
#include "grpc/support/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"

namespace braid::services {

// max(): never.
using SteadyTime = std::chrono::steady_clock::time_point;

// `timeout` from now; an infinite one is never.
SteadyTime After(absl::Duration timeout);

// As gRPC takes it.
gpr_timespec ToGrpc(SteadyTime time);

// What the client has set; nothing if it has set none. gRPC keeps it on the
// steady clock, but shows it on the wall clock.
std::optional<SteadyTime> DeadlineOf(const grpc::ServerContextBase& context);

// Sets it on a call that is not begun; never: none.
void SetDeadline(SteadyTime deadline, grpc::ClientContext* context);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_DEADLINE_H_
