#include "services/server/errors.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "services/text.h"

namespace braid::services {
namespace {

constexpr absl::string_view kBadRequest =
    "type.googleapis.com/google.rpc.BadRequest";
constexpr absl::string_view kErrorInfo =
    "type.googleapis.com/google.rpc.ErrorInfo";
constexpr absl::string_view kRetryInfo =
    "type.googleapis.com/google.rpc.RetryInfo";

// Together under the 8 KiB that gRPC clients accept as metadata by default:
// the message travels twice, once percent-encoded.
constexpr size_t kMaxMessageBytes = 512;
constexpr size_t kMaxViolations = 10;
constexpr size_t kMaxFieldBytes = 128;
constexpr size_t kMaxDescriptionBytes = 192;

template <typename Message>
void Attach(absl::string_view url, const Message& message,
            absl::Status* status) {
  status->SetPayload(url, absl::Cord(message.SerializeAsString()));
}

}  // namespace

absl::Status InvalidFields(const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest bad_request;
  std::string message = "invalid request: ";
  for (size_t i = 0; i < violations.size() && i < kMaxViolations; ++i) {
    const std::string field = ToPrintable(violations[i].field, kMaxFieldBytes);
    const std::string description =
        ToPrintable(violations[i].description, kMaxDescriptionBytes);
    auto* violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description(description);
    absl::StrAppend(&message, i == 0 ? "" : "; ", field, ": ", description);
  }
  if (violations.size() > kMaxViolations) {
    absl::StrAppend(&message, "; and ", violations.size() - kMaxViolations,
                    " more");
  }
  absl::Status status = absl::InvalidArgumentError(message);
  Attach(kBadRequest, bad_request, &status);
  return WithReason(std::move(status), "INVALID_REQUEST");
}

absl::Status WithReason(absl::Status status, absl::string_view reason,
                        const std::map<std::string, std::string>& metadata) {
  if (status.ok()) return status;
  google::rpc::ErrorInfo info;
  const absl::optional<absl::Cord> present = status.GetPayload(kErrorInfo);
  if (present.has_value()) info.ParseFromString(std::string(*present));
  if (info.reason().empty()) info.set_reason(std::string(reason));
  info.set_domain(std::string(kErrorDomain));
  for (const auto& [key, value] : metadata) {
    (*info.mutable_metadata())[key] = ToPrintable(value, kMaxDescriptionBytes);
  }
  Attach(kErrorInfo, info, &status);
  return status;
}

absl::Status WithRetry(absl::Status status, absl::Duration delay) {
  if (status.ok()) return status;
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(delay));
  retry.mutable_retry_delay()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(delay % absl::Seconds(1))));
  Attach(kRetryInfo, retry, &status);
  return status;
}

absl::Status Overloaded(absl::string_view what, absl::Duration retry_delay) {
  return WithRetry(WithReason(absl::ResourceExhaustedError(what), "OVERLOADED"),
                   retry_delay);
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryInfo);
  google::rpc::RetryInfo retry;
  if (!payload.has_value() || !retry.ParseFromString(std::string(*payload))) {
    return std::nullopt;
  }
  return absl::Seconds(retry.retry_delay().seconds()) +
         absl::Nanoseconds(retry.retry_delay().nanos());
}

std::string CodeName(absl::StatusCode code) {
  return absl::StatusCodeToString(code);
}

void ToProto(const absl::Status& status, google::rpc::Status* proto) {
  proto->Clear();
  proto->set_code(static_cast<int>(status.code()));
  if (status.ok()) return;
  proto->set_message(ToPrintable(status.message(), kMaxMessageBytes));
  const absl::Status full = WithReason(status, CodeName(status.code()));
  full.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    // Payloads of other libraries are their own business, not the client's.
    if (!absl::StartsWith(url, "type.googleapis.com/google.rpc.")) return;
    auto* detail = proto->add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(payload));
  });
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status proto;
  ToProto(status, &proto);
  return grpc::Status(static_cast<grpc::StatusCode>(proto.code()),
                      proto.message(), proto.SerializeAsString());
}

}  // namespace braid::services
