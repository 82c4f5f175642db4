// The roles in three servers: what a gateway passes on, and what it does not.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "services/auth/authenticator.h"
#include "services/config/roles.h"
#include "services/gateway/upstreams.h"
#include "test_certificates.h"
#include "test_service.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAnywhere[] = "127.0.0.1:0";

class GatewayTest : public ::testing::Test {
 protected:
  using Configure = std::function<void(Config*)>;

  // `configure` is for all three.
  void Start(TestOptions retrieval = {}, TestOptions generation = {},
             const Configure& configure = nullptr,
             const Configure& configure_gateway = nullptr) {
    retrieval_ = Serve(std::move(retrieval), "retrieval", configure);
    generation_ = Serve(std::move(generation), "generation", configure);
    gateway_ = Serve({}, "gateway", [&](Config* config) {
      if (configure) configure(config);
      config->upstream_retrieval = retrieval_->server().address();
      config->upstream_generation = generation_->server().address();
      if (configure_gateway) configure_gateway(config);
    });
  }

  static std::unique_ptr<TestService> Serve(TestOptions options,
                                            const std::string& roles,
                                            const Configure& configure) {
    options.address = kAnywhere;
    options.configure = [&roles, &configure](Config* config) {
      config->roles = roles;
      if (configure) configure(config);
    };
    return std::make_unique<TestService>(std::move(options));
  }

  static grpc::Status Search(TestService& service, const std::string& key,
                             v1::SearchResponse* response) {
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
    v1::SearchRequest request;
    request.set_collection("collections/default");
    request.set_query("water");
    return service.retrieval().Search(&context, request, response);
  }

  struct Answered {
    grpc::Status status;
    std::string text;
    std::vector<v1::Citation> citations;
    v1::RetrievedPassages retrieved;
    v1::AnswerFinal final;
    std::vector<std::string> stages;
  };
  static Answered Ask(TestService& service, const std::string& question) {
    grpc::ClientContext context;
    v1::AnswerRequest request;
    request.set_collection("collections/default");
    request.set_question(question);
    request.set_explain(true);
    const auto stream = service.answers().Answer(&context, request);
    Answered out;
    v1::AnswerResponse event;
    while (stream->Read(&event)) {
      if (event.has_delta()) out.text += event.delta();
      if (event.has_citation()) out.citations.push_back(event.citation());
      if (event.has_retrieved()) out.retrieved = event.retrieved();
      if (event.has_final()) out.final = event.final();
      if (event.has_stage()) out.stages.push_back(event.stage().stage());
    }
    out.status = stream->Finish();
    return out;
  }

  std::unique_ptr<TestService> retrieval_;
  std::unique_ptr<TestService> generation_;
  std::unique_ptr<TestService> gateway_;
};

TEST(RolesTest, AreAListThatMakesSense) {
  const auto error = [](const std::string& roles, const std::string& retrieval,
                        const std::string& generation) {
    Config config;
    config.roles = roles;
    config.upstream_retrieval = retrieval;
    config.upstream_generation = generation;
    return std::string(RolesOf(config).status().message());
  };
  EXPECT_EQ(error("gateway, retrieval ,generation", "", ""), "");
  EXPECT_EQ(error("retrieval", "", ""), "");
  EXPECT_EQ(error("gateway", "a:1", "b:1"), "");
  EXPECT_EQ(error("gateway,generation", "a:1", ""), "");
  EXPECT_THAT(error("gateway", "a:1", ""), HasSubstr("`upstream.generation`"));
  EXPECT_THAT(error("gateway", "", "b:1"), HasSubstr("`upstream.retrieval`"));
  EXPECT_THAT(error("retrieval,gateway", "a:1", "b:1"),
              HasSubstr("only one of them"));
  EXPECT_THAT(error("retrieval", "", "b:1"), HasSubstr("for the gateway"));
  EXPECT_THAT(error("", "", ""), HasSubstr("none of"));
  EXPECT_THAT(error("gateway,", "a:1", "b:1"), HasSubstr("none of"));
  EXPECT_THAT(error("indexer", "", ""), HasSubstr("`indexer`"));
}

TEST_F(GatewayTest, AnswersAsOneProcessDoes) {
  Start();
  TestService one;
  for (TestService* service : {gateway_.get(), &one}) {
    service->Put("default", "water",
                 "Water boils at 100 degrees. It freezes at 0 degrees.");
    service->Put("default", "iron", "Iron melts at 1538 degrees.");
    const uint64_t last =
        service->Put("default", "tin", "Tin melts at 232 degrees.");
    ASSERT_EQ(last, 3u);
  }
  for (TestService* service : {retrieval_.get(), &one}) {
    ASSERT_TRUE(service->runtime()
                    .backend()
                    .WaitUntilCurrent("default", SteadyIn(absl::Seconds(5)))
                    .ok());
  }
  const Answered split = Ask(*gateway_, "At how many degrees does iron melt?");
  const Answered whole = Ask(one, "At how many degrees does iron melt?");
  ASSERT_TRUE(split.status.ok()) << split.status.error_message();
  EXPECT_THAT(split.text, HasSubstr("1538"));
  EXPECT_EQ(split.text, whole.text);
  EXPECT_EQ(split.stages, whole.stages);
  EXPECT_EQ(split.final.SerializeAsString(), whole.final.SerializeAsString());
  EXPECT_EQ(split.retrieved.DebugString(), whole.retrieved.DebugString());
  ASSERT_EQ(split.citations.size(), whole.citations.size());
  for (size_t i = 0; i < split.citations.size(); ++i) {
    EXPECT_EQ(split.citations[i].DebugString(),
              whole.citations[i].DebugString());
  }

  v1::SearchResponse found;
  ASSERT_TRUE(Search(*gateway_, "", &found).ok());
  EXPECT_EQ(found.passages_size(), 3);
}

// One stream each way with many messages, and errors in the middle of it.
TEST_F(GatewayTest, PassesStreamsOn) {
  Start();
  std::vector<v1::IngestRequest> requests;
  for (int i = 0; i < 300; ++i) {
    requests.push_back(
        TextRequest("default", absl::StrCat("d", i), absl::StrCat("text ", i)));
    requests.back().set_correlation_id(static_cast<uint64_t>(i));
  }
  requests[150].mutable_document()->set_document_id("");
  const auto responses = gateway_->Ingest(requests);
  ASSERT_EQ(responses.size(), 300u);
  int failed = 0;
  for (const v1::IngestResponse& response : responses) {
    failed += response.outcome() == v1::IngestResponse::OUTCOME_FAILED;
  }
  EXPECT_EQ(failed, 1);
  grpc::ClientContext context;
  v1::GetCollectionRequest get;
  get.set_name("collections/default");
  v1::GetCollectionResponse collection;
  ASSERT_TRUE(
      gateway_->collections().GetCollection(&context, get, &collection).ok());
  EXPECT_EQ(collection.collection().document_count(), 299);
}

// The upstream ends a stream that its caller still writes to.
TEST_F(GatewayTest, AnUpstreamMayEndFirst) {
  TestOptions retrieval;
  retrieval.limits.max_ingest_idle = absl::Milliseconds(10);
  Start(retrieval);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    const auto stream = gateway_->documents().Ingest(&context);
    EXPECT_TRUE(stream->Write(TextRequest("default", "d", "text")));
    v1::IngestResponse response;
    int responses = 0;
    while (stream->Read(&response)) ++responses;
    EXPECT_EQ(responses, 1);
    // Whether this finds the stream's end before or after the upstream's is a
    // matter of luck.
    if (i % 2 == 0) stream->Write(TextRequest("default", "d", "text"));
    EXPECT_EQ(stream->Finish().error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
}

TEST_F(GatewayTest, ErrorsArriveAsTheyWere) {
  Start();
  v1::SearchResponse response;
  const grpc::Status direct = Search(*retrieval_, "", &response);
  const grpc::Status passed = Search(*gateway_, "", &response);
  EXPECT_EQ(passed.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(passed.error_message(), direct.error_message());
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(passed, &info));
  EXPECT_EQ(info.reason(), "COLLECTION_NOT_FOUND");
  // Also where the gateway itself calls.
  const Answered answered = Ask(*gateway_, "water?");
  EXPECT_EQ(answered.status.error_code(), grpc::StatusCode::NOT_FOUND);
  ASSERT_TRUE(GetDetail(answered.status, &info));
  EXPECT_EQ(info.reason(), "COLLECTION_NOT_FOUND");
}

TEST_F(GatewayTest, AnUpstreamThatIsGoneIsUnavailableAndComesBack) {
  Start();
  const std::string address = retrieval_->server().address();
  gateway_->Put("default", "water", "Water boils.");
  retrieval_->server().Shutdown(absl::ZeroDuration());
  v1::SearchResponse response;
  for (const grpc::Status& status :
       {Search(*gateway_, "", &response), Ask(*gateway_, "water?").status}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), Not(HasSubstr("127.0.0.1")));
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(GetDetail(status, &info));
    EXPECT_THAT(info.reason(),
                testing::AnyOf("UPSTREAM_UNREACHABLE", "SHUTTING_DOWN"));
  }
  TestOptions options;
  options.address = address;
  options.configure = [](Config* config) { config->roles = "retrieval"; };
  TestService again(options);
  again.Put("default", "water", "Water boils.");
  grpc::Status status;
  for (int i = 0; i < 100; ++i) {
    status = Search(*gateway_, "", &response);
    if (status.ok()) break;
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
}

// Cancelled by the caller, or past its deadline: the work upstream ends.
TEST_F(GatewayTest, WorkEndsWithItsCaller) {
  std::atomic<int> running = 0;
  TestOptions generation;
  generation.generator = [&](const generation::GenerationRequest&,
                             const generation::TextSink& sink,
                             std::stop_token stop)
      -> absl::StatusOr<generation::GenerationResult> {
    ++running;
    while (!stop.stop_requested() && sink("again ")) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    --running;
    return generation::GenerationResult{generation::FinishReason::kCancelled, 1,
                                        1};
  };
  generation.answerer = [&](const generation::AnswerRequest&,
                            const generation::AnswerSink& sink,
                            std::stop_token stop) {
    ++running;
    while (!stop.stop_requested() && sink(generation::AnswerDelta{"again "})) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    --running;
    return absl::CancelledError("stopped");
  };
  Start({}, generation);
  gateway_->Put("default", "water", "Water boils.");
  std::mt19937 random(7);
  for (int i = 0; i < 40; ++i) {
    grpc::ClientContext context;
    const bool by_deadline = i % 4 >= 2;
    if (by_deadline) {
      context.set_deadline(std::chrono::system_clock::now() +
                           std::chrono::milliseconds(30 + random() % 30));
    }
    grpc::Status status;
    const auto read = [&](auto stream, auto* event) {
      const absl::Time end = absl::Now() + absl::Milliseconds(random() % 40);
      while (stream->Read(event)) {
        if (!by_deadline && absl::Now() > end) context.TryCancel();
      }
      status = stream->Finish();
    };
    if (i % 2 == 0) {
      v1::GenerateRequest request;
      request.set_prompt("Once");
      v1::GenerateResponse event;
      read(gateway_->generation().Generate(&context, request), &event);
    } else {
      v1::AnswerRequest request;
      request.set_collection("collections/default");
      request.set_question("water?");
      v1::AnswerResponse event;
      read(gateway_->answers().Answer(&context, request), &event);
    }
    if (!by_deadline) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED) << i;
    } else if (!status.ok()) {
      // An answer ends in time and says so; a completion is cut.
      EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << i;
    }
  }
  const absl::Time end = absl::Now() + absl::Seconds(5);
  while (running > 0 && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(running, 0);
}

// What is to answer is the request's choice, whoever answers.
TEST_F(GatewayTest, TheAnswererIsPassedOn) {
  std::mutex mutex;
  std::vector<generation::AnswererKind> asked;
  TestOptions generation;
  generation.answerer = [&](const generation::AnswerRequest& request,
                            const generation::AnswerSink& sink,
                            std::stop_token) {
    const std::lock_guard<std::mutex> lock(mutex);
    asked.push_back(request.answerer);
    sink(generation::AnswerUsage{});
    sink(generation::AnswerFinal{});
    return absl::OkStatus();
  };
  Start({}, generation);
  gateway_->Put("default", "water", "Water boils.");
  for (const v1::Answerer answerer :
       {v1::ANSWERER_UNSPECIFIED, v1::ANSWERER_EXTRACTIVE,
        v1::ANSWERER_GENERATOR, static_cast<v1::Answerer>(7)}) {
    grpc::ClientContext context;
    v1::AnswerRequest request;
    request.set_collection("collections/default");
    request.set_question("water?");
    request.set_answerer(answerer);
    v1::AnswerResponse event;
    const auto stream = gateway_->answers().Answer(&context, request);
    while (stream->Read(&event)) {
    }
    EXPECT_EQ(stream->Finish().error_code(),
              answerer == 7 ? grpc::StatusCode::INVALID_ARGUMENT
                            : grpc::StatusCode::OK);
  }
  EXPECT_THAT(asked,
              ::testing::ElementsAre(generation::AnswererKind::kDefault,
                                     generation::AnswererKind::kExtractive,
                                     generation::AnswererKind::kGenerator));
}

// Many callers at once who come and go as they like.
TEST_F(GatewayTest, ManyCallsEndWell) {
  Start();
  gateway_->Put("default", "water", "Water boils.");
  ASSERT_TRUE(retrieval_->runtime()
                  .backend()
                  .WaitUntilCurrent("default", SteadyIn(absl::Seconds(5)))
                  .ok());
  std::atomic<int> good = 0;
  std::vector<std::thread> callers;
  for (unsigned int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&, caller] {
      std::mt19937 random(caller);
      for (int i = 0; i < 60; ++i) {
        grpc::ClientContext context;
        std::thread cancel;
        if (random() % 3 == 0) {
          cancel = std::thread([&context, wait = random() % 3000] {
            absl::SleepFor(absl::Microseconds(wait));
            context.TryCancel();
          });
        }
        v1::SearchRequest request;
        request.set_collection("collections/default");
        request.set_query("water");
        v1::SearchResponse response;
        const grpc::Status status =
            gateway_->retrieval().Search(&context, request, &response);
        if (cancel.joinable()) cancel.join();
        good += status.ok() && response.passages_size() == 1;
        EXPECT_TRUE(status.ok() ||
                    status.error_code() == grpc::StatusCode::CANCELLED)
            << status.error_message();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(good, 8 * 60 / 2);
  // Nothing is left: a server with calls in flight would wait for them.
  const absl::Time begin = absl::Now();
  gateway_->server().Shutdown(absl::Seconds(20));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST_F(GatewayTest, TooManyCallsAreRefused) {
  TestOptions generation;
  std::atomic<bool> stop = false;
  std::atomic<int> running = 0;
  generation.generator =
      [&](const generation::GenerationRequest&, const generation::TextSink&,
          std::stop_token) -> absl::StatusOr<generation::GenerationResult> {
    ++running;
    while (!stop) absl::SleepFor(absl::Milliseconds(1));
    return generation::GenerationResult{generation::FinishReason::kStop, 1, 1};
  };
  Start({}, generation, nullptr,
        [](Config* config) { config->limits.max_forwarded_calls = 2; });
  const auto generate = [&] {
    grpc::ClientContext context;
    v1::GenerateRequest request;
    request.set_prompt("Once");
    const auto stream = gateway_->generation().Generate(&context, request);
    v1::GenerateResponse event;
    while (stream->Read(&event)) {
    }
    return stream->Finish();
  };
  std::vector<std::thread> held;
  for (int i = 0; i < 2; ++i) {
    held.emplace_back([&] { EXPECT_TRUE(generate().ok()); });
  }
  while (running < 2) absl::SleepFor(absl::Milliseconds(1));
  const grpc::Status status = generate();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  EXPECT_TRUE(GetDetail(status, &retry));
  stop = true;
  for (std::thread& call : held) call.join();
  EXPECT_TRUE(generate().ok());
}

// Who a caller is travels with the call; who the gateway is does not.
class GatewayAccessTest : public GatewayTest {
 protected:
  void SetUp() override {
    directory_ =
        ::testing::TempDir() + "/braid_gateway_test_" +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    Write("ca.pem", authority_.Pem());
    Write("server.pem", server_.Pem());
    Write("server.key", server_.key.Pem());
    std::string access =
        "[[certificate]]\nname = \"spiffe://test/gateway\"\n"
        "grants = [{ role = \"admin\", collections = [\"*\"] }]\n";
    for (const char* role : {"reader", "writer"}) {
      keys_[role] = *auth::MakeKey();
      absl::StrAppendFormat(
          &access,
          "[[key]]\nname = \"%s\"\nsha256 = \"%s\"\n"
          "grants = [{ role = \"%s\", collections = [\"default\"] }]\n",
          role, *auth::HashKey(keys_[role]), role);
    }
    Write("access.toml", access);
    Start({}, {}, [this](Config* config) {
      config->auth_access_file = Path("access.toml");
      config->tls_certificate_file = Path("server.pem");
      config->tls_key_file = Path("server.key");
      config->tls_client_ca_file = Path("ca.pem");
      config->tls_client_certificates = "optional";
      config->upstream_tls = "on";
      config->upstream_ca_file = Path("ca.pem");
      config->upstream_certificate_file = Path("server.pem");
      config->upstream_key_file = Path("server.key");
    });
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const {
    return absl::StrCat(directory_, "/", name);
  }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name)) << content;
  }
  std::shared_ptr<grpc::Channel> Channel(TestService& service,
                                         bool certificate) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = authority_.Pem();
    if (certificate) {
      options.pem_cert_chain = server_.Pem();
      options.pem_private_key = server_.key.Pem();
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(service.server().address(),
                                     grpc::SslCredentials(options), arguments);
  }
  grpc::StatusCode List(const std::string& key, bool certificate,
                        TestService* service = nullptr,
                        bool forwarded = false) const {
    const auto stub = v1::CollectionService::NewStub(
        Channel(service == nullptr ? *gateway_ : *service, certificate));
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
    if (forwarded) context.AddMetadata("x-braid-forwarded", "1");
    v1::ListCollectionsResponse response;
    return stub->ListCollections(&context, {}, &response).error_code();
  }

  const TestCertificate authority_ = MakeAuthority("authority");
  // Of all three servers, and the gateway's as a client: an administrator's.
  const TestCertificate server_ =
      Issue(authority_, "server",
            "DNS:localhost,IP:127.0.0.1,URI:spiffe://test/gateway");
  std::string directory_;
  std::map<std::string, std::string> keys_;
};

TEST_F(GatewayAccessTest, TheCallersRightsHold) {
  EXPECT_EQ(List(keys_["reader"], false), grpc::StatusCode::OK);
  EXPECT_EQ(List("", false), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(List("braid_guess", false), grpc::StatusCode::UNAUTHENTICATED);

  // What the gateway passes on is checked where it arrives.
  const auto stub = v1::CollectionService::NewStub(Channel(*gateway_, false));
  for (const char* role : {"reader", "writer"}) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + keys_[role]);
    v1::DeleteCollectionRequest request;
    request.set_name("collections/default");
    v1::DeleteCollectionResponse response;
    EXPECT_EQ(stub->DeleteCollection(&context, request, &response).error_code(),
              grpc::StatusCode::PERMISSION_DENIED);
  }
}

// The gateway's certificate is an administrator's; none of its callers is.
TEST_F(GatewayAccessTest, TheGatewaysCertificateSpeaksForNobody) {
  // Straight to the upstream, it is who it is.
  EXPECT_EQ(List("", true, retrieval_.get()), grpc::StatusCode::OK);
  // On behalf of others it is nobody.
  EXPECT_EQ(List("", true, retrieval_.get(), /*forwarded=*/true),
            grpc::StatusCode::UNAUTHENTICATED);
  // A caller's own certificate cannot be shown on.
  EXPECT_EQ(List("", true), grpc::StatusCode::UNAUTHENTICATED);
  // Beside it a key does.
  EXPECT_EQ(List(keys_["reader"], true), grpc::StatusCode::OK);
}

TEST(UpstreamTest, KeysDoNotCrossTheNetworkInTheClear) {
  Config config;
  config.roles = "gateway";
  config.upstream_retrieval = "retrieval.example:7410";
  config.upstream_generation = "127.0.0.1:7410";
  const Roles roles = *RolesOf(config);
  EXPECT_TRUE(MakeUpstreams(config, roles).ok());
  config.auth_access_file = "access.toml";
  const auto refused = MakeUpstreams(config, roles);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("`upstream.tls`"));
  config.upstream_tls = "on";
  EXPECT_TRUE(MakeUpstreams(config, roles).ok());
  config.upstream_ca_file = "/nowhere/ca.pem";
  EXPECT_EQ(MakeUpstreams(config, roles).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace braid::services
