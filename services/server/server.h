// The gRPC server.
#ifndef BRAID_SERVICES_SERVER_SERVER_H_
#define BRAID_SERVICES_SERVER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/runtime.h"

namespace grpc {
class Channel;
}

namespace braid::services {

// All services of braid.v1, grpc.health.v1 and reflection over one Runtime.
class Server {
 public:
  virtual ~Server() = default;

  // Starts serving. With an empty `address` it listens nowhere and is reached
  // through InProcessChannel() only: this is how the CLI runs on a data
  // directory, so that there is one path for both. With one, it also serves
  // its metrics and exports its traces as the configuration says. `runtime`
  // must outlive the server. UNAVAILABLE if an address cannot be bound;
  // INVALID_ARGUMENT naming the key for one that is no address.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      Runtime* runtime, const std::string& address);

  // The address in effect, with the port that was chosen for port 0.
  virtual const std::string& address() const = 0;
  // Of /metrics and its like, in the same way; empty if there is none.
  virtual const std::string& metrics_address() const = 0;
  // Of the API over HTTP, in the same way.
  virtual const std::string& http_address() const = 0;
  virtual std::shared_ptr<grpc::Channel> InProcessChannel() = 0;
  // Health turns NOT_SERVING at once, new calls are refused, running ones get
  // `grace` to finish and are then cancelled. Returns when all are done and
  // their traces are sent (or dropped, if that takes longer).
  virtual void Shutdown(absl::Duration grace) = 0;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_SERVER_H_
