#include "services/cli/exit_code.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

namespace braid::services::cli {
namespace {

TEST(ExitCode, FollowsTheStatus) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeFor(absl::NotFoundError("")), 1);
  EXPECT_EQ(ExitCodeFor(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("")), 4);
  EXPECT_EQ(ExitCodeFor(absl::UnauthenticatedError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::PermissionDeniedError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::CancelledError("")), 130);
}

TEST(FromGrpc, NamesTheFieldsThatAreWrong) {
  google::rpc::Status rich;
  rich.set_code(3);
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("top_k");
  violation->set_description("must be at most 1000");
  rich.add_details()->PackFrom(bad_request);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(200'000'000);
  rich.add_details()->PackFrom(retry);
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad request",
                            rich.SerializeAsString()));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("bad request"),
                             testing::HasSubstr("top_k: must be at most 1000"),
                             testing::HasSubstr("0.2 s")));
}

TEST(FromGrpc, SurvivesDetailsThatAreNoMessage) {
  const absl::Status status = FromGrpc(
      grpc::Status(grpc::StatusCode::INTERNAL, "broken", "\xff\xff garbage"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "broken");
}

}  // namespace
}  // namespace braid::services::cli
