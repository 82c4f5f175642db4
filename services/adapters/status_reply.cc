#include "services/adapters/status_reply.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "services/adapters/json.h"
#include "services/text.h"

namespace braid::services::adapters {
namespace {

constexpr size_t kMaxFieldBytes = 128;
constexpr size_t kMaxMessageBytes = 512;

}  // namespace

int HttpStatusOf(int code) {
  switch (static_cast<absl::StatusCode>(code)) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string CodeName(int code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

google::rpc::Status MakeStatus(absl::StatusCode code,
                               absl::string_view message) {
  google::rpc::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message(ToPrintable(message, kMaxMessageBytes));
  return status;
}

google::rpc::Status ToProto(const absl::Status& status) {
  return MakeStatus(status.code(), status.message());
}

google::rpc::Status InvalidField(absl::string_view field,
                                 absl::string_view description) {
  const std::string name = ToPrintable(field, kMaxFieldBytes);
  google::rpc::Status status =
      MakeStatus(absl::StatusCode::kInvalidArgument,
                 absl::StrCat("invalid request: ", name, ": ", description));
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(name);
  violation->set_description(ToPrintable(description, kMaxMessageBytes));
  status.add_details()->PackFrom(bad_request);
  return status;
}

std::optional<absl::Duration> RetryDelayOf(const google::rpc::Status& status) {
  google::rpc::RetryInfo retry;
  for (const auto& detail : status.details()) {
    if (!detail.UnpackTo(&retry)) continue;
    return absl::Seconds(retry.retry_delay().seconds()) +
           absl::Nanoseconds(retry.retry_delay().nanos());
  }
  return std::nullopt;
}

http::Headers ErrorHeaders(const google::rpc::Status& status) {
  http::Headers headers;
  if (const auto delay = RetryDelayOf(status); delay.has_value()) {
    const double seconds = std::ceil(absl::ToDoubleSeconds(*delay));
    headers.emplace_back(
        "Retry-After",
        absl::StrCat(static_cast<int64_t>(std::clamp(seconds, 1.0, 86400.0))));
  }
  if (status.code() == static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    headers.emplace_back("WWW-Authenticate", "Bearer");
  }
  return headers;
}

http::Reply ErrorReply(const google::rpc::Status& status) {
  return {.status = HttpStatusOf(status.code()),
          .content_type = kJsonType,
          .headers = ErrorHeaders(status),
          .body = ToJson(status)};
}

}  // namespace braid::services::adapters
