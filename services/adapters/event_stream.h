// A stream of gRPC messages as a streamed HTTP reply.
#ifndef BRAID_SERVICES_ADAPTERS_EVENT_STREAM_H_
#define BRAID_SERVICES_ADAPTERS_EVENT_STREAM_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "google/rpc/status.pb.h"
#include "services/adapters/grpc_bridge.h"
#include "services/http/server.h"

namespace braid::services::adapters {

inline constexpr char kEventStreamType[] = "text/event-stream";

// One server-sent event; `data` has no line breaks, as JSON has none. Without a
// name it is a `message`.
std::string ServerSentEvent(absl::string_view data,
                            absl::string_view name = "");

// How a protocol puts the messages of a call into bytes. Called on one thread
// at a time.
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;

  // Of the reply, once there is a first message.
  virtual std::string content_type() const = 0;
  // May be empty: then nothing is sent for this message.
  virtual std::string Write(const google::protobuf::Message& message) = 0;
  // The end of the stream: after it nothing comes.
  virtual std::string End(const google::rpc::Status& status) = 0;
  // The reply to a call that ended with an error before its first message.
  virtual http::Reply Error(const google::rpc::Status& status) = 0;
};

// Makes the call and streams its messages to the client. It reads no faster
// than the client, and is cancelled when that goes away.
void StreamCall(
    GrpcBridge* bridge, const google::protobuf::MethodDescriptor& method,
    const CallHeaders& headers,
    std::vector<std::unique_ptr<google::protobuf::Message>> requests,
    std::shared_ptr<http::Exchange> exchange,
    std::shared_ptr<StreamWriter> writer);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_EVENT_STREAM_H_
