// Calls of the server's own gRPC services, for somebody on the network.
#ifndef BRAID_SERVICES_ADAPTERS_GRPC_BRIDGE_H_
#define BRAID_SERVICES_ADAPTERS_GRPC_BRIDGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/channel.h"
#include "services/http/message.h"

namespace braid::services::adapters {

// What of a request's headers goes with its call. Nothing else does: who calls
// is decided by `authorization` alone.
struct CallHeaders {
  http::Headers
      metadata;  // authorization, traceparent, tracestate, x-request-id
  std::optional<absl::Duration>
      timeout;  // grpc-timeout; none: the server's own
};
// INVALID_ARGUMENT for a timeout that is none, UNAUTHENTICATED for an
// authorization with bytes that no key or token has.
absl::StatusOr<CallHeaders> HeadersOf(const http::Request& request);

// The same channel for all calls, so the services see them as they see those of
// the network: authentication, roles, quotas, limits, metrics and traces are
// theirs. Thread-safe.
class GrpcBridge {
 public:
  using Message = google::protobuf::Message;

  class Call {
   public:
    virtual ~Call() = default;
    // Asks for the next message, after each.
    virtual void Next() = 0;
    // The end comes soon; no further message.
    virtual void Cancel() = 0;
    // The headers of the reply that go to the client: x-request-id,
    // traceparent. From the first message on.
    virtual http::Headers headers() const = 0;
  };
  // On threads of gRPC, one at a time.
  struct Events {
    // The next message comes after call->Next().
    std::function<void(const std::shared_ptr<Call>& call,
                       const Message& message)>
        message;
    // Once, and last.
    std::function<void(Call& call, const google::rpc::Status& status)> end;
  };

  // The channel's server must outlive the bridge.
  explicit GrpcBridge(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)) {}
  ~GrpcBridge() { Close(); }

  // Sends all requests, of which there is one unless the method's client
  // streams.
  std::shared_ptr<Call> Start(const google::protobuf::MethodDescriptor& method,
                              const CallHeaders& headers,
                              std::vector<std::unique_ptr<Message>> requests,
                              Events events);

  // Cancels all calls and waits for their ends. What is started later ends at
  // once, with UNAVAILABLE.
  void Close();

 private:
  class Reactor;

  bool Add(Reactor* reactor);
  void Remove(Reactor* reactor);

  const std::shared_ptr<grpc::Channel> channel_;
  absl::Mutex mutex_;
  std::set<Reactor*> calls_;  // under mutex_
  bool closed_ = false;       // under mutex_
};

// Calls a method that answers with one message; `done` gets it, or null and an
// error.
std::shared_ptr<GrpcBridge::Call> CallUnary(
    GrpcBridge* bridge, const google::protobuf::MethodDescriptor& method,
    const CallHeaders& headers,
    std::unique_ptr<google::protobuf::Message> request,
    std::function<void(const GrpcBridge::Call& call,
                       const google::rpc::Status& status,
                       const google::protobuf::Message* response)>
        done);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_GRPC_BRIDGE_H_
