// google.rpc.Status as an HTTP reply.
#ifndef BRAID_SERVICES_ADAPTERS_STATUS_REPLY_H_
#define BRAID_SERVICES_ADAPTERS_STATUS_REPLY_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"
#include "services/http/message.h"

namespace braid::services::adapters {

// Codes are google.rpc.Code's, which are also absl's. As google/rpc/code.proto
// says beside each.
int HttpStatusOf(int code);

// `NOT_FOUND` and its like.
std::string CodeName(int code);

google::rpc::Status MakeStatus(absl::StatusCode code,
                               absl::string_view message);
google::rpc::Status ToProto(const absl::Status& status);
// INVALID_ARGUMENT with BadRequest naming the field.
google::rpc::Status InvalidField(absl::string_view field,
                                 absl::string_view description);

// How long to wait before trying again, if the status says so.
std::optional<absl::Duration> RetryDelayOf(const google::rpc::Status& status);

// Headers that go with an error: Retry-After in whole seconds,
// WWW-Authenticate.
http::Headers ErrorHeaders(const google::rpc::Status& status);

// The status as JSON, with its code as HTTP has it.
http::Reply ErrorReply(const google::rpc::Status& status);

}  // namespace braid::services::adapters

#endif  // BRAID_SERVICES_ADAPTERS_STATUS_REPLY_H_
