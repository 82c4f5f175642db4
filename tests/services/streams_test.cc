// Streams under cancellation, deadlines, slow readers and overload.
#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "services/telemetry/process_figures.h"
#include "test_service.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using generation::FinishReason;
using generation::GenerationResult;

// Sends `text` again and again until told to stop.
class Endless {
 public:
  Endless(std::string text, absl::Duration pause)
      : text_(std::move(text)), pause_(pause) {}

  ScriptedGenerator::Script Script() {
    return [this](const generation::GenerationRequest&,
                  const generation::TextSink& sink,
                  std::stop_token stop) -> absl::StatusOr<GenerationResult> {
      ++running;
      while (!stop.stop_requested() && sink(text_)) {
        sent += text_.size();
        if (pause_ > absl::ZeroDuration()) absl::SleepFor(pause_);
      }
      --running;
      return GenerationResult{FinishReason::kCancelled, 1, 1};
    };
  }
  // Time until no generation runs; at most 10 s.
  absl::Duration WaitUntilFree() const {
    const absl::Time start = absl::Now();
    while (running > 0 && absl::Now() - start < absl::Seconds(10)) {
      absl::SleepFor(absl::Microseconds(200));
    }
    return absl::Now() - start;
  }

  std::atomic<int> running = 0;
  std::atomic<size_t> sent = 0;

 private:
  const std::string text_;
  const absl::Duration pause_;
};

v1::GenerateRequest Prompt() {
  v1::GenerateRequest request;
  request.set_prompt("Once");
  return request;
}

class StreamsTest : public ::testing::TestWithParam<const char*> {
 protected:
  TestOptions Options(ScriptedGenerator::Script generator) {
    TestOptions options;
    options.address = GetParam();
    options.generator = std::move(generator);
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Transport, StreamsTest,
                         ::testing::Values("", "127.0.0.1:0"),
                         [](const auto& transport) {
                           return transport.param[0] == '\0' ? "InProcess"
                                                             : "Tcp";
                         });

TEST_P(StreamsTest, CancelFreesTheWorkWithin100Milliseconds) {
  Endless endless("token ", absl::Milliseconds(1));
  TestService service(Options(endless.Script()));
  absl::Duration worst;
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    auto stream = service.generation().Generate(&context, Prompt());
    v1::GenerateResponse response;
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_EQ(endless.running, 1);
    context.TryCancel();
    worst = std::max(worst, endless.WaitUntilFree());
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_LT(worst, absl::Milliseconds(100));
  RecordProperty("worst_cancel_us", absl::ToInt64Microseconds(worst));
  std::printf("worst time from cancel to freed work: %.2f ms\n",
              absl::ToDoubleMilliseconds(worst));
}

TEST_P(StreamsTest, SlowReaderBlocksItsProducerNotTheMemory) {
  Endless endless(std::string(16 << 10, 'x'), absl::ZeroDuration());
  TestOptions options = Options(endless.Script());
  TestService service(options);
  grpc::ClientContext context;
  auto stream = service.generation().Generate(&context, Prompt());
  v1::GenerateResponse response;
  ASSERT_TRUE(stream->Read(&response));
  // The producer could send gigabytes in this time. Over TCP some messages lie
  // in the windows and buffers of both ends.
  absl::SleepFor(absl::Milliseconds(500));
  const size_t sent = endless.sent;
  const size_t transport = options.address.empty() ? 64 << 10 : 16 << 20;
  EXPECT_LE(sent, options.limits.max_unsent_bytes_per_stream + transport);
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_EQ(endless.sent, sent) << "it has stopped";
  EXPECT_EQ(endless.running, 1);
  // A cancel reaches a producer that is blocked, too.
  context.TryCancel();
  EXPECT_LT(endless.WaitUntilFree(), absl::Milliseconds(100));
}

TEST_P(StreamsTest, StalledReaderIsSentAway) {
  Endless endless(std::string(16 << 10, 'x'), absl::ZeroDuration());
  TestOptions options = Options(endless.Script());
  options.limits.max_write_stall = absl::Milliseconds(200);
  TestService service(options);
  grpc::ClientContext context;
  auto stream = service.generation().Generate(&context, Prompt());
  v1::GenerateResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_LT(endless.WaitUntilFree(), absl::Seconds(3));
  while (stream->Read(&response)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_P(StreamsTest, DeadlineEndsTheAnswerWithAFinalEvent) {
  TestOptions options;
  options.address = GetParam();
  options.answerer = [](const generation::AnswerRequest& request,
                        const generation::AnswerSink& sink,
                        std::stop_token stop) {
    while (std::chrono::steady_clock::now() < request.deadline &&
           !stop.stop_requested()) {
      sink(generation::AnswerDelta{"word "});
      absl::SleepFor(absl::Milliseconds(5));
    }
    return absl::DeadlineExceededError("no time left");
  };
  TestService service(options);
  service.Put("docs", "a", "alpha beta");
  grpc::ClientContext context;
  context.set_deadline(
      absl::ToChronoTime(absl::Now() + absl::Milliseconds(600)));
  v1::AnswerRequest request;
  request.set_collection("collections/docs");
  request.set_question("alpha?");
  auto stream = service.answers().Answer(&context, request);
  v1::AnswerResponse event;
  v1::AnswerResponse last;
  while (stream->Read(&event)) last = event;
  const grpc::Status status = stream->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(last.has_final());
  EXPECT_EQ(last.final().finish_reason(), v1::FINISH_REASON_DEADLINE);
  ASSERT_EQ(last.final().degraded_size(), 1);
  EXPECT_EQ(last.final().degraded(0), "generate");
}

TEST_P(StreamsTest, OverloadIsRefusedAtOnceWithARetryDelay) {
  Endless endless("token ", absl::Milliseconds(1));
  TestOptions options = Options(endless.Script());
  options.limits.max_concurrent_answers = 2;
  options.limits.retry_delay = absl::Milliseconds(350);
  TestService service(options);
  v1::GenerateResponse response;
  grpc::ClientContext contexts[2];
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> streams[2];
  for (int i = 0; i < 2; ++i) {
    streams[i] = service.generation().Generate(&contexts[i], Prompt());
    ASSERT_TRUE(streams[i]->Read(&response));
  }
  grpc::ClientContext context;
  auto refused = service.generation().Generate(&context, Prompt());
  EXPECT_FALSE(refused->Read(&response));
  const grpc::Status status = refused->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(GetDetail(status, &retry));
  EXPECT_EQ(retry.retry_delay().nanos(), 350'000'000);
  const auto& trailer = context.GetServerTrailingMetadata();
  const auto pushback = trailer.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailer.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()),
            "350");
  for (int i = 0; i < 2; ++i) {
    contexts[i].TryCancel();
    streams[i]->Finish();
  }
}

// Many clients that come, read a little and go, from several threads.
TEST_P(StreamsTest, ComingAndGoingLeavesNothingRunning) {
  Endless endless("token ", absl::ZeroDuration());
  TestOptions options = Options(endless.Script());
  options.limits.max_concurrent_answers = 4;
  TestService service(options);
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&service, c] {
      for (int i = 0; i < 50; ++i) {
        grpc::ClientContext context;
        auto stream = service.generation().Generate(&context, Prompt());
        v1::GenerateResponse response;
        for (int r = 0; r < (i + c) % 4; ++r) stream->Read(&response);
        context.TryCancel();
        stream->Finish();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_LT(endless.WaitUntilFree(), absl::Milliseconds(200));
}

// An old connection takes no new calls, so that clients come to new processes
// as well; what it has goes on.
TEST(ConnectionAgeTest, ClientsConnectAnewAndStreamsGoOn) {
  Endless endless("token ", absl::Milliseconds(1));
  TestOptions options;
  options.address = "127.0.0.1:0";
  options.generator = endless.Script();
  options.limits.max_connection_age = absl::Seconds(1);
  TestService service(options);
  grpc::ClientContext context;
  auto stream = service.generation().Generate(&context, Prompt());
  v1::GenerateResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(service.channel()->GetState(false), GRPC_CHANNEL_READY);
  EXPECT_TRUE(service.channel()->WaitForStateChange(
      GRPC_CHANNEL_READY, absl::ToChronoTime(absl::Now() + absl::Seconds(5))));
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext other;
    v1::GetServerInfoResponse info;
    EXPECT_TRUE(service.admin().GetServerInfo(&other, {}, &info).ok());
    for (int r = 0; r < 100; ++r) EXPECT_TRUE(stream->Read(&response));
  }
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

// A thousand clients that open a stream and read nothing of it. Theirs is the
// memory of both ends here; nobody else waits for them.
TEST(SlowReadersTest, AThousandCostBoundedMemoryAndAreSentAway) {
  constexpr int kReaders = 1000;
  constexpr int kPerConnection = 100;
  Endless endless(std::string(4 << 10, 'x'), absl::ZeroDuration());
  TestOptions options;
  options.address = "127.0.0.1:0";
  options.generator = endless.Script();
  options.limits.max_concurrent_answers = kReaders;
  options.limits.max_write_stall = absl::Seconds(4);
  TestService service(options);
  service.Put("docs", "a", "alpha beta");
  ASSERT_TRUE(service.runtime()
                  .backend()
                  .WaitUntilCurrent("docs", SteadyIn(absl::Seconds(10)))
                  .ok());
  // The slowest of some searches.
  const auto search = [&service] {
    absl::Duration slowest;
    for (int i = 0; i < 50; ++i) {
      grpc::ClientContext context;
      v1::SearchRequest request;
      request.set_collection("collections/docs");
      request.set_query("alpha");
      v1::SearchResponse response;
      const absl::Time start = absl::Now();
      EXPECT_TRUE(
          service.retrieval().Search(&context, request, &response).ok());
      EXPECT_EQ(response.passages_size(), 1);
      slowest = std::max(slowest, absl::Now() - start);
    }
    return slowest;
  };
  const absl::Duration quiet = search();
  const uint64_t before = telemetry::ResidentBytes();

  std::vector<std::unique_ptr<v1::GenerationService::Stub>> stubs;
  for (int i = 0; i < kReaders / kPerConnection; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // Otherwise gRPC's client takes megabytes that nobody has asked it for.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stubs.push_back(v1::GenerationService::NewStub(grpc::CreateCustomChannel(
        service.server().address(), grpc::InsecureChannelCredentials(),
        arguments)));
  }
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>>>
      streams;
  for (int i = 0; i < kReaders; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(stubs[static_cast<size_t>(i / kPerConnection)]->Generate(
        contexts.back().get(), Prompt()));
  }
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (endless.running < kReaders && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  ASSERT_EQ(endless.running, kReaders);
  // Until all of them are full.
  size_t sent = 0;
  while (sent != endless.sent && absl::Now() < end) {
    sent = endless.sent;
    absl::SleepFor(absl::Milliseconds(100));
  }
  const absl::Duration beside = search();
  const uint64_t growth = telemetry::ResidentBytes() - before;
  std::printf(
      "%d stopped readers: %.0f MB for both ends, %.0f KB sent or queued for "
      "each; slowest search %.1f ms, before %.1f ms\n",
      kReaders, static_cast<double>(growth) / 1e6,
      static_cast<double>(sent) / 1e3 / kReaders,
      absl::ToDoubleMilliseconds(beside), absl::ToDoubleMilliseconds(quiet));
  EXPECT_LE(growth, uint64_t{512} << 20);
  // They are sent away, and their threads are free.
  while (endless.running > 0 && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(endless.running, 0);
  for (const auto& context : contexts) context->TryCancel();
  for (const auto& stream : streams) stream->Finish();
  search();
}

TEST_P(StreamsTest, GeneratorErrorsReachTheClient) {
  TestService service(Options(
      [](const generation::GenerationRequest&, const generation::TextSink& sink,
         std::stop_token) -> absl::StatusOr<GenerationResult> {
        sink("begun ");
        return absl::InvalidArgumentError("the prompt is over the context");
      }));
  grpc::ClientContext context;
  auto stream = service.generation().Generate(&context, Prompt());
  v1::GenerateResponse response;
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "the prompt is over the context");
}

}  // namespace
}  // namespace braid::services
