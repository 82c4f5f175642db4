#include "services/cli/exit_code.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/cli/terminal.h"

namespace braid::services::cli {
namespace {

std::string DescribeDetails(const std::string& serialized) {
  google::rpc::Status rich;
  if (serialized.empty() || !rich.ParseFromString(serialized)) return "";
  std::string text;
  for (const google::protobuf::Any& detail : rich.details()) {
    google::rpc::BadRequest bad_request;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        absl::StrAppend(&text, "\n  ", violation.field(), ": ",
                        violation.description());
      }
    } else if (detail.UnpackTo(&retry)) {
      const double seconds =
          static_cast<double>(retry.retry_delay().seconds()) +
          static_cast<double>(retry.retry_delay().nanos()) * 1e-9;
      absl::StrAppend(&text, "\n  try again in ", seconds, " s");
    }
  }
  return text;
}

}  // namespace

ExitCode ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
      return kExitUnreachable;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return kExitDenied;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailure;
  }
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat(status.error_message(),
                                   DescribeDetails(status.error_details())));
}

ExitCode ReportError(const absl::Status& status) {
  std::fprintf(stderr, "braid: %s: %s\n",
               absl::StatusCodeToString(status.code()).c_str(),
               PrintableText(status.message(), /*keep_newlines=*/true).c_str());
  return ExitCodeFor(status);
}

}  // namespace braid::services::cli
