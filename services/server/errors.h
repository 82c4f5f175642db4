// absl::Status inside, google.rpc.Status outside: the one place where errors
// become what clients see.
//
// Details travel inside absl::Status as payloads under their protobuf type URL,
// so that any layer of the service can add them and one function packs them.
#ifndef BRAID_SERVICES_SERVER_ERRORS_H_
#define BRAID_SERVICES_SERVER_ERRORS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace braid::services {

// ErrorInfo.domain of every error of this service.
inline constexpr absl::string_view kErrorDomain = "braid";

struct FieldViolation {
  std::string field;  // path, such as `fusion.rrf_k`
  std::string description;
};

// INVALID_ARGUMENT with BadRequest and the reason INVALID_REQUEST. At most the
// first 10 violations are kept: details travel in a header of a few KiB.
absl::Status InvalidFields(const std::vector<FieldViolation>& violations);

// Adds ErrorInfo. `reason` is UPPER_SNAKE_CASE. A reason that is there stays.
absl::Status WithReason(
    absl::Status status, absl::string_view reason,
    const std::map<std::string, std::string>& metadata = {});

// Adds RetryInfo.
absl::Status WithRetry(absl::Status status, absl::Duration delay);

// RESOURCE_EXHAUSTED with RetryInfo and the reason OVERLOADED.
absl::Status Overloaded(absl::string_view what, absl::Duration retry_delay);

// The delay of RetryInfo, if the status has one.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

// `NOT_FOUND` and its like.
std::string CodeName(absl::StatusCode code);

// Code, message (printable, cut at 512 bytes) and details; ErrorInfo is always
// there, with the code's name as reason where nobody gave a better one.
void ToProto(const absl::Status& status, google::rpc::Status* proto);
// The same with the packed details that gRPC sends as
// `grpc-status-details-bin`.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_ERRORS_H_
