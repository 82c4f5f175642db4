// The API of braid.v1 as JSON over HTTP, as the google.api.http annotations of
// its descriptors say.
#ifndef BRAID_SERVICES_ADAPTERS_TRANSCODER_H_
#define BRAID_SERVICES_ADAPTERS_TRANSCODER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "services/adapters/grpc_bridge.h"
#include "services/adapters/path_template.h"
#include "services/http/server.h"

namespace braid::services::adapters {

// One binding of a method.
struct HttpRule {
  std::string verb;  // GET, POST, PATCH, DELETE, PUT
  PathTemplate path;
  // Everything of the request that the path does not bind comes from the body;
  // otherwise from the query.
  bool body = false;
  const google::protobuf::MethodDescriptor* method = nullptr;
};

// The rules of all methods of these services, those with a `:verb` first.
// INVALID_ARGUMENT for an annotation that is not supported: templates that do
// not parse, bodies of a part of the message, variables that are not texts.
absl::StatusOr<std::vector<HttpRule>> RulesOf(
    const std::vector<std::string>& services);

// The requests that an HTTP request holds: one, unless the client of the method
// streams. Those come as a JSON array, as JSON lines (application/x-ndjson) or
// as a single object. What the path binds, it binds in each.
absl::StatusOr<std::vector<std::unique_ptr<google::protobuf::Message>>>
RequestsOf(const HttpRule& rule,
           const std::map<std::string, std::string>& variables,
           const http::Request& request);

// Replies of one message are JSON. Streams are server-sent events, each a
// message as JSON, or JSON lines where the client asks for
// application/x-ndjson or streams itself. An error is google.rpc.Status as
// JSON; inside of a stream, an event `error`, or a line {"error": ...}.
// Thread-safe.
class Transcoder {
 public:
  // `bridge` must outlive it.
  Transcoder(GrpcBridge* bridge, std::vector<HttpRule> rules)
      : bridge_(bridge), rules_(std::move(rules)) {}

  // False, and nothing done, if no rule has this path. 405 if none has the
  // method.
  bool Serve(const std::shared_ptr<http::Exchange>& exchange) const;

 private:
  GrpcBridge* const bridge_;
  const std::vector<HttpRule> rules_;
};

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_TRANSCODER_H_
