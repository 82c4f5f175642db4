#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Streams until `finish` is set or it is told to stop.
struct Script {
  std::atomic<bool> finish = false;
  ScriptedGenerator::Script Get() {
    return [this](const generation::GenerationRequest&,
                  const generation::TextSink& sink, std::stop_token stop)
               -> absl::StatusOr<generation::GenerationResult> {
      while (!finish && !stop.stop_requested() && sink("x")) {
        absl::SleepFor(absl::Milliseconds(1));
      }
      return generation::GenerationResult{};
    };
  }
};

HealthCheckResponse::ServingStatus Check(TestService& service) {
  grpc::ClientContext context;
  HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(service.channel())
          ->Check(&context, HealthCheckRequest(), &response);
  return status.ok() ? response.status() : HealthCheckResponse::UNKNOWN;
}

class ShutdownTest : public ::testing::Test {
 protected:
  ShutdownTest() {
    TestOptions options;
    options.address = "127.0.0.1:0";
    options.generator = script_.Get();
    service_ = std::make_unique<TestService>(options);
  }
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> Open(
      grpc::ClientContext* context) {
    v1::GenerateRequest request;
    request.set_prompt("x");
    auto stream = service_->generation().Generate(context, request);
    v1::GenerateResponse response;
    EXPECT_TRUE(stream->Read(&response));
    return stream;
  }
  Script script_;
  std::unique_ptr<TestService> service_;
};

TEST_F(ShutdownTest, LiveStreamsFinishWithinTheGrace) {
  constexpr int kStreams = 8;
  grpc::ClientContext contexts[kStreams];
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> streams[kStreams];
  for (int i = 0; i < kStreams; ++i) streams[i] = Open(&contexts[i]);
  EXPECT_EQ(Check(*service_), HealthCheckResponse::SERVING);

  std::thread shutdown(
      [this] { service_->server().Shutdown(absl::Seconds(10)); });
  const absl::Time start = absl::Now();
  while (Check(*service_) != HealthCheckResponse::NOT_SERVING) {
    ASSERT_LT(absl::Now() - start, absl::Milliseconds(100));
  }
  // New calls are told why they are refused.
  grpc::ClientContext context;
  v1::GetServerInfoResponse info;
  const grpc::Status refused = service_->admin().GetServerInfo(
      &context, v1::GetServerInfoRequest(), &info);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  google::rpc::ErrorInfo error;
  ASSERT_TRUE(GetDetail(refused, &error));
  EXPECT_EQ(error.reason(), "SHUTTING_DOWN");

  script_.finish = true;
  for (int i = 0; i < kStreams; ++i) {
    v1::GenerateResponse response;
    v1::GenerateResponse last;
    while (streams[i]->Read(&response)) last = response;
    EXPECT_TRUE(last.has_final());
    EXPECT_TRUE(streams[i]->Finish().ok());
  }
  shutdown.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "did not wait in vain";
}

TEST_F(ShutdownTest, StreamsPastTheGraceEndWithUnavailable) {
  grpc::ClientContext context;
  auto stream = Open(&context);
  grpc::ClientContext ingest_context;
  auto ingest = service_->documents().Ingest(&ingest_context);
  ASSERT_TRUE(ingest->Write(TextRequest("docs", "a", "text")));
  v1::IngestResponse acknowledged;
  ASSERT_TRUE(ingest->Read(&acknowledged));

  const absl::Time start = absl::Now();
  std::thread shutdown(
      [this] { service_->server().Shutdown(absl::Milliseconds(200)); });
  v1::GenerateResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(ingest->Read(&acknowledged));
  EXPECT_EQ(ingest->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  shutdown.join();
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - start, absl::Seconds(4));
}

TEST_F(ShutdownTest, AReaderThatNeverReadsDoesNotHoldItUp) {
  grpc::ClientContext context;
  auto stream = Open(&context);
  const absl::Time start = absl::Now();
  service_->server().Shutdown(absl::ZeroDuration());
  EXPECT_LT(absl::Now() - start, absl::Seconds(4));
}

TEST_F(ShutdownTest, PortInUseIsUnavailable) {
  const auto second =
      Server::Start(&service_->runtime(), service_->server().address());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ShutdownTest, TwiceIsHarmless) {
  service_->server().Shutdown(absl::ZeroDuration());
  service_->server().Shutdown(absl::ZeroDuration());
}

}  // namespace
}  // namespace braid::services
