#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/impl/codegen/rpc_method.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/sync_stream.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

constexpr const char* kServices[] = {
    "braid.v1.AdminService",      "braid.v1.AnswerService",
    "braid.v1.CollectionService", "braid.v1.DocumentService",
    "braid.v1.GenerationService", "braid.v1.OperationService",
    "braid.v1.RetrievalService"};

TEST(Health, ChecksByName) {
  TestService service;
  auto health = Health::NewStub(service.channel());
  const auto check = [&](const std::string& name,
                         HealthCheckResponse* response) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(name);
    return health->Check(&context, request, response);
  };
  HealthCheckResponse response;
  ASSERT_TRUE(check("", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  for (const char* name : kServices) {
    ASSERT_TRUE(check(name, &response).ok()) << name;
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  }
  EXPECT_EQ(check("braid.v1.NoSuchService", &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST(Health, WatchTellsOfTheEnd) {
  // Over the wire, as probes come: the in-process transport may drop a message
  // that is followed by an error at once.
  TestOptions options;
  options.address = "127.0.0.1:0";
  TestService service(options);
  auto health = Health::NewStub(service.channel());
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("braid.v1.AnswerService");
  auto watch = health->Watch(&context, request);
  grpc::ClientContext unknown_context;
  request.set_service("nobody");
  auto unknown = health->Watch(&unknown_context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  ASSERT_TRUE(unknown->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  std::jthread shutdown([&] { service.server().Shutdown(absl::Seconds(5)); });
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(unknown->Read(&response));
  unknown->Finish();
}

TEST(Health, WatchesAreBoundedAndFreed) {
  TestOptions options;
  options.limits.max_health_watchers = 2;
  TestService service(options);
  auto health = Health::NewStub(service.channel());
  HealthCheckResponse response;
  for (int round = 0; round < 3; ++round) {
    grpc::ClientContext contexts[3];
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> watches[3];
    for (int i = 0; i < 2; ++i) {
      // The places of the round before are freed when gRPC is done with them.
      const absl::Time start = absl::Now();
      auto context = std::make_unique<grpc::ClientContext>();
      watches[i] = health->Watch(&contexts[i], HealthCheckRequest());
      ASSERT_TRUE(watches[i]->Read(&response))
          << "round " << round << " after " << (absl::Now() - start);
    }
    watches[2] = health->Watch(&contexts[2], HealthCheckRequest());
    EXPECT_FALSE(watches[2]->Read(&response));
    EXPECT_EQ(watches[2]->Finish().error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
    for (int i = 0; i < 2; ++i) {
      contexts[i].TryCancel();
      watches[i]->Finish();
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

// One request of grpc.reflection.v1alpha, in wire format: Debian installs no
// header for its messages.
std::string Reflect(TestService& service, char field,
                    const std::string& argument) {
  static constexpr char kMethod[] =
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
  grpc::ClientContext context;
  std::unique_ptr<Stream> stream(
      grpc::internal::
          ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
              service.channel().get(),
              grpc::internal::RpcMethod(
                  kMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                  service.channel()),
              &context));
  std::string message(1, static_cast<char>(field << 3 | 2));
  message += static_cast<char>(argument.size());
  message += argument;
  grpc::Slice slice(message);
  stream->Write(grpc::ByteBuffer(&slice, 1));
  stream->WritesDone();
  grpc::ByteBuffer buffer;
  std::string reply;
  while (stream->Read(&buffer)) {
    std::vector<grpc::Slice> slices;
    EXPECT_TRUE(buffer.Dump(&slices).ok());
    for (const grpc::Slice& part : slices) {
      reply.append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  return reply;
}

TEST(Reflection, ListsAndDescribesEveryService) {
  TestService service;
  const std::string list = Reflect(service, 7, "*");
  for (const char* name : kServices) EXPECT_THAT(list, HasSubstr(name));
  EXPECT_THAT(list, HasSubstr("grpc.health.v1.Health"));
  for (const char* name : kServices) {
    // file_containing_symbol
    EXPECT_THAT(Reflect(service, 4, name), HasSubstr("_service.proto")) << name;
  }
  EXPECT_THAT(Reflect(service, 4, "grpc.health.v1.Health"),
              HasSubstr("health.proto"));
  EXPECT_THAT(Reflect(service, 4, "google.rpc.Status"),
              HasSubstr("google/rpc/status.proto"));
}

}  // namespace
}  // namespace braid::services
