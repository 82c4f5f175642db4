// What operators see of a server: metrics, probes and traces.
#ifndef BRAID_SERVICES_SERVER_MONITOR_H_
#define BRAID_SERVICES_SERVER_MONITOR_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/http/server.h"
#include "services/server/call.h"
#include "services/server/health_service.h"

namespace braid::services {

// Turns the core's tracer on if `otlp_endpoint` names a collector. Before the
// first call. INVALID_ARGUMENT if it is no URL.
absl::Status StartTracing(ServerCore* core);

// The HTTP listener: /metrics (Prometheus), /healthz (the process answers) and
// /readyz (200 while the server takes calls, 503 otherwise).
class Monitor {
 public:
  // `core` and `health` must outlive it. INVALID_ARGUMENT for what is no
  // address; UNAVAILABLE if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<Monitor>> Start(
      ServerCore* core, const HealthService* health,
      const std::string& address);

  // With the port that was chosen for port 0.
  const std::string& address() const { return listener_->address(); }

 private:
  Monitor() = default;

  std::unique_ptr<http::Server> listener_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_MONITOR_H_
