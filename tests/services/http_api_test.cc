// The API over HTTP, as a client of it sees it.
#include <arpa/inet.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/auth/authenticator.h"
#include "test_service.h"
#include "tests/steady.h"

namespace braid::services {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kText[] =
    "The lighthouse was built in 1851. Its lamp was lit by Ada Turner.";

class HttpApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = absl::StrCat(
        ::testing::TempDir(), "/braid_http_api_",
        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override {
    service_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Start(TestOptions options = {}) {
    options.address = "127.0.0.1:0";
    options.configure = [more = options.configure](Config* config) {
      config->http_address = "127.0.0.1:0";
      if (more) more(config);
    };
    service_ = std::make_unique<TestService>(std::move(options));
    const std::string& address = service_->server().http_address();
    ASSERT_TRUE(
        absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port_));
  }
  // With keys for a reader of the collection `docs` and for a writer of all.
  void StartWithKeys() {
    reader_ = *auth::MakeKey();
    writer_ = *auth::MakeKey();
    std::ofstream(directory_ + "/access.toml")
        << "[[key]]\nname = \"reader\"\nsha256 = \"" << *auth::HashKey(reader_)
        << "\"\ngrants = [{ role = \"reader\", collections = [\"docs\"] }]\n"
        << "[[key]]\nname = \"writer\"\nsha256 = \"" << *auth::HashKey(writer_)
        << "\"\ngrants = [{ role = \"writer\", collections = [\"*\"] }]\n";
    key_ = reader_;
    TestOptions options;
    options.configure = [this](Config* config) {
      config->auth_access_file = directory_ + "/access.toml";
    };
    Start(std::move(options));
  }
  httplib::Client Client() const {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(30);
    if (!key_.empty()) client.set_bearer_token_auth(key_.c_str());
    return client;
  }
  Json Post(const std::string& path, const Json& body, int status = 200) {
    auto reply = Client().Post(path.c_str(), body.dump(), "application/json");
    EXPECT_TRUE(reply) << path;
    if (!reply) return {};
    EXPECT_EQ(reply->status, status) << reply->body;
    return Json::parse(reply->body, nullptr, /*allow_exceptions=*/false);
  }
  Json Get(const std::string& path, int status = 200) {
    auto reply = Client().Get(path.c_str());
    EXPECT_TRUE(reply) << path;
    if (!reply) return {};
    EXPECT_EQ(reply->status, status) << reply->body;
    return Json::parse(reply->body, nullptr, false);
  }
  void Put(const std::string& collection = "docs") {
    key_ = writer_;
    EXPECT_EQ(
        Post(absl::StrCat("/v1/collections/", collection, "/documents"),
             {{"document",
               {{"documentId", "tower.txt"}, {"text", kText}}}})["outcome"],
        "OUTCOME_CREATED");
    key_ = reader_;
    EXPECT_TRUE(service_->runtime()
                    .backend()
                    .WaitUntilCurrent(collection, SteadyIn(absl::Seconds(20)))
                    .ok());
  }

  std::string directory_;
  std::string reader_;  // keys; empty if none is needed
  std::string writer_;
  std::string key_;  // of the next request
  std::unique_ptr<TestService> service_;
  int port_ = 0;
};

// The `data` of each server-sent event.
std::vector<Json> EventsOf(const std::string& body) {
  std::vector<Json> events;
  std::istringstream lines(body);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("data: ", 0) == 0) {
      events.push_back(Json::parse(line.substr(6), nullptr, false));
    }
  }
  return events;
}

TEST_F(HttpApiTest, TheLifeOfADocument) {
  Start();
  EXPECT_EQ(
      Post("/v1/collections", {{"collectionId", "docs"}})["collection"]["name"],
      "collections/docs");
  EXPECT_EQ(Get("/v1/collections")["collections"][0]["name"],
            "collections/docs");
  const Json written =
      Post("/v1/collections/docs/documents", {{"document",
                                               {{"documentId", "a/tower"},
                                                {"text", kText},
                                                {"metadata", {{"y", 1}}}}}});
  EXPECT_EQ(written["outcome"], "OUTCOME_CREATED") << written;
  const Json found = Post("/v1/collections/docs:search",
                          {{"query", "lighthouse lamp"},
                           {"filter", "y = 1"},
                           {"waitForSequence", written["sequence"]}});
  ASSERT_EQ(found["passages"].size(), 1u) << found;
  EXPECT_EQ(found["passages"][0]["text"], kText);
  EXPECT_EQ(Get("/v1/collections/docs/documents/a/tower")["document"]["text"],
            kText);
  EXPECT_EQ(Get("/v1/collections/docs/documents?pageSize=1")["documents"][0]
                                                            ["documentId"],
            "a/tower");
  auto patched = Client().Patch("/v1/collections/docs/documents/a/tower",
                                R"({"metadata":{"y":2}})", "application/json");
  ASSERT_TRUE(patched);
  EXPECT_EQ(patched->status, 200) << patched->body;
  auto deleted = Client().Delete("/v1/collections/docs/documents/a/tower");
  EXPECT_EQ(deleted->status, 200) << deleted->body;
  EXPECT_EQ(Get("/v1/collections/docs/documents/a/tower", 404)["code"], 5);
  EXPECT_EQ(Get("/v1/operations?kind=KIND_INGEST")["operations"].size(), 1u);
  EXPECT_EQ(Get("/v1/server")["encoder"], "fake-encoder-64");
}

TEST_F(HttpApiTest, ManyDocumentsAndAFile) {
  Start();
  Json batch = Json::array();
  for (int i = 0; i < 50; ++i) {
    batch.push_back({{"correlationId", i},
                     {"document",
                      {{"documentId", absl::StrCat("d", i)},
                       {"text", absl::StrCat("number ", i)}}}});
  }
  batch.push_back({{"correlationId", 50}});
  auto reply = Client().Post("/v1/collections/docs/documents", batch.dump(),
                             "application/json");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->get_header_value("Content-Type"), "application/x-ndjson");
  std::istringstream lines(reply->body);
  int created = 0;
  int failed = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json outcome = Json::parse(line);
    created += outcome["outcome"] == "OUTCOME_CREATED";
    failed += outcome["outcome"] == "OUTCOME_FAILED";
  }
  EXPECT_EQ(created, 50);
  EXPECT_EQ(failed, 1);
  auto file =
      Client().Post("/v1/collections/docs/documents:upload?document_id=x.md",
                    "# Title\n\nText of a file.\n", "application/octet-stream");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->status, 200) << file->body;
  EXPECT_EQ(Get("/v1/collections/docs/documents/x.md")["document"]["title"],
            "Title");
  auto broken =
      Client().Post("/v1/collections/docs/documents:upload?document_id=y.pdf",
                    "%PDF-1.7 no", "application/pdf");
  EXPECT_EQ(broken->status, 501) << broken->body;
}

TEST_F(HttpApiTest, AnswersAreStreamed) {
  Start();
  Put();
  auto reply =
      Client().Post("/v1/collections/docs:answer",
                    R"({"question":"Who lit the lamp?"})", "application/json");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->get_header_value("Content-Type"), "text/event-stream");
  EXPECT_NE(reply->get_header_value("x-request-id"), "");
  std::string answer;
  Json citation;
  Json last;
  for (const Json& event : EventsOf(reply->body)) {
    answer += event.value("delta", "");
    if (event.contains("citation")) citation = event["citation"];
    last = event;
  }
  EXPECT_THAT(answer, HasSubstr("Ada Turner"));
  EXPECT_THAT(citation["quote"].get<std::string>(), HasSubstr("Ada Turner"));
  EXPECT_EQ(citation["document"], "collections/docs/documents/tower.txt");
  EXPECT_EQ(last["final"]["finishReason"], "FINISH_REASON_STOP");
  auto lines = Client().Post(
      "/v1/collections/docs:answer", {{"Accept", "application/x-ndjson"}},
      R"({"question":"Who lit the lamp?"})", "application/json");
  EXPECT_EQ(lines->get_header_value("Content-Type"), "application/x-ndjson");
  EXPECT_EQ(lines->body[0], '{');
}

TEST_F(HttpApiTest, ErrorsSayWhat) {
  Start();
  Put();
  const Json wrong =
      Post("/v1/collections/docs:search", {{"query", ""}, {"topK", -1}}, 400);
  EXPECT_EQ(wrong["code"], 3);
  EXPECT_THAT(wrong.dump(), HasSubstr("\"field\":\"top_k\""));
  EXPECT_EQ(
      Post("/v1/collections/none:answer", {{"question", "x"}}, 404)["code"], 5);
  Get("/v1/nothing", 404);
  Get("/console/nothing", 404);
  auto method = Client().Delete("/v1/embed");
  EXPECT_EQ(method->status, 405);
  EXPECT_EQ(method->get_header_value("Allow"), "POST");
}

// Over HTTP a caller is who its key says, and nobody else: the channel inside
// of the server gives no rights.
TEST_F(HttpApiTest, KeysDecide) {
  StartWithKeys();
  Put("docs");
  Put("secret");
  EXPECT_EQ(Post("/v1/collections/docs:search", {{"query", "lamp"}})["passages"]
                .size(),
            1u);
  EXPECT_EQ(Get("/v1/collections")["collections"].size(), 1u);
  Post("/v1/collections/secret:search", {{"query", "lamp"}}, 403);
  EXPECT_EQ(Post("/v1/collections/docs/documents",
                 {{"document",
                   {{"documentId", "x"}, {"text", "y"}}}})["error"]["code"],
            7);
  auto upload = Client().Post(
      "/v1/collections/docs/documents:upload?document_id=x", "y", "text/plain");
  EXPECT_EQ(upload->status, 403);
  for (const char* authorization :
       {"", "Bearer braid_guess", "Basic YTpi", "Bearer \xc3\xa4"}) {
    httplib::Client stranger("127.0.0.1", port_);
    httplib::Headers headers;
    if (*authorization != '\0') headers.emplace("Authorization", authorization);
    for (const char* path : {"/v1/collections", "/v1/server"}) {
      auto reply = stranger.Get(path, headers);
      ASSERT_TRUE(reply) << authorization;
      EXPECT_EQ(reply->status, 401) << path << authorization;
      EXPECT_EQ(reply->get_header_value("WWW-Authenticate"), "Bearer");
    }
  }
}

TEST_F(HttpApiTest, PagesFromElsewhereAreRefused) {
  Start();
  Put();
  for (const httplib::Headers& headers :
       {httplib::Headers{{"Origin", "https://evil.example"}},
        httplib::Headers{{"Host", "evil.example"}}}) {
    auto reply = Client().Get("/v1/collections", headers);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 403);
    EXPECT_THAT(reply->body, Not(HasSubstr("docs")));
  }
}

TEST_F(HttpApiTest, TheNetworkNeedsARule) {
  TestOptions options;
  Start();
  Config config = service_->runtime().config();
  config.http_address = "0.0.0.0:0";
  Runtime::Parts parts;
  auto encoder = std::make_unique<FakeEncoder>();
  retrieval::LocalBackendOptions backend;
  backend.directory = directory_ + "/data";
  std::filesystem::create_directories(backend.directory);
  parts.backend = *retrieval::LocalBackend::Open(backend, encoder.get());
  parts.encoder = std::move(encoder);
  parts.answerer = std::make_unique<ScriptedAnswerer>(nullptr);
  const auto runtime = Runtime::Assemble(config, std::move(parts));
  const auto server = Server::Start(runtime.get(), "127.0.0.1:0");
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("0.0.0.0:0"));
}

// What an answerer does until it is stopped.
TestOptions Endless(std::atomic<int>* running, absl::Notification* stopped) {
  TestOptions options;
  options.answerer = [=](const generation::AnswerRequest&,
                         const generation::AnswerSink& sink,
                         std::stop_token stop) -> absl::Status {
    ++*running;
    while (!stop.stop_requested()) {
      if (!sink(generation::AnswerDelta{"word "})) break;
      absl::SleepFor(absl::Milliseconds(5));
    }
    stopped->Notify();
    return absl::CancelledError("stopped");
  };
  return options;
}

TEST_F(HttpApiTest, AClientThatGoesAwayStopsItsCall) {
  std::atomic<int> running = 0;
  absl::Notification stopped;
  Start(Endless(&running, &stopped));
  Put();
  int received = 0;
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/collections/docs:answer";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = R"({"question":"lighthouse lamp"})";
  request.content_receiver = [&](const char*, size_t, uint64_t, uint64_t) {
    return ++received < 5;  // then it hangs up
  };
  httplib::Client client = Client();
  client.send(request);
  EXPECT_EQ(received, 5);
  EXPECT_TRUE(stopped.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST_F(HttpApiTest, TheClientsDeadlineIsKept) {
  std::atomic<int> running = 0;
  absl::Notification stopped;
  Start(Endless(&running, &stopped));
  Put();
  const absl::Time start = absl::Now();
  auto reply =
      Client().Post("/v1/collections/docs:answer", {{"grpc-timeout", "500m"}},
                    R"({"question":"lighthouse lamp"})", "application/json");
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->body, HasSubstr("event: error\ndata: {\"code\":4,"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_TRUE(stopped.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST_F(HttpApiTest, ShutdownEndsStreamsWithTheirReason) {
  std::atomic<int> running = 0;
  absl::Notification stopped;
  Start(Endless(&running, &stopped));
  Put();
  std::string body;
  std::thread client([&] {
    auto reply =
        Client().Post("/v1/collections/docs:answer",
                      R"({"question":"lighthouse lamp"})", "application/json");
    if (reply) body = reply->body;
  });
  while (running == 0) absl::SleepFor(absl::Milliseconds(1));
  service_->server().Shutdown(absl::Milliseconds(100));
  client.join();
  EXPECT_THAT(body, HasSubstr("event: error\ndata: "));
  EXPECT_THAT(body, HasSubstr("SHUTTING_DOWN"));
}

TEST_F(HttpApiTest, OverloadIs429WithATimeToWait) {
  TestOptions options;
  std::atomic<int> running = 0;
  absl::Notification stopped;
  options = Endless(&running, &stopped);
  options.limits.max_concurrent_answers = 1;
  Start(std::move(options));
  Put();
  std::thread client([&] {
    Client().Post("/v1/collections/docs:answer",
                  R"({"question":"lighthouse lamp"})", "application/json");
  });
  while (running == 0) absl::SleepFor(absl::Milliseconds(1));
  auto reply =
      Client().Post("/v1/collections/docs:answer",
                    R"({"question":"lighthouse lamp"})", "application/json");
  EXPECT_EQ(reply->status, 429) << reply->body;
  EXPECT_EQ(reply->get_header_value("Retry-After"), "1");
  service_->server().Shutdown(absl::ZeroDuration());
  client.join();
}

TEST_F(HttpApiTest, OtherProtocolsHaveTheSameRights) {
  StartWithKeys();
  Put("docs");
  Put("secret");
  const auto chat = [&](const char* model, int status) {
    return Post(
        "/v1/chat/completions",
        {{"model", model},
         {"messages", {{{"role", "user"}, {"content", "Who lit the lamp?"}}}}},
        status);
  };
  EXPECT_THAT(chat("braid/docs", 200).dump(), HasSubstr("Ada Turner"));
  EXPECT_THAT(chat("braid/secret", 403).dump(), Not(HasSubstr("Ada Turner")));
  EXPECT_EQ(chat("braid/secret", 403)["error"]["type"], "permission_error");
  // As if it were not there.
  EXPECT_EQ(chat("braid/none", 403)["error"]["type"], "permission_error");
  EXPECT_EQ(Get("/v1/models")["data"].size(), 1u);
  Get("/v1/models/braid/secret", 403);
  const auto tool = [&](const char* collection) {
    return Post("/mcp", {{"jsonrpc", "2.0"},
                         {"id", 1},
                         {"method", "tools/call"},
                         {"params",
                          {{"name", "answer"},
                           {"arguments",
                            {{"question", "Who lit the lamp?"},
                             {"collection", collection}}}}}})["result"];
  };
  EXPECT_FALSE(tool("docs")["isError"]);
  EXPECT_THAT(tool("docs").dump(), HasSubstr("Ada Turner"));
  EXPECT_TRUE(tool("secret")["isError"]);
  EXPECT_THAT(tool("secret").dump(), Not(HasSubstr("Ada Turner")));
  key_ = "braid_guess";
  EXPECT_EQ(chat("braid/docs", 401)["error"]["type"], "authentication_error");
  for (const char* method : {"initialize", "tools/list", "ping"}) {
    Post("/mcp", {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}}, 401);
  }
  // Nothing to see in it, and nothing needed for it.
  EXPECT_EQ(Client().Get("/")->status, 200);
}

TEST_F(HttpApiTest, McpHasNoSessionsAndNoStreamsOfItsOwn) {
  Start();
  EXPECT_EQ(Client().Get("/mcp")->status, 405);
  EXPECT_EQ(Client().Delete("/mcp")->status, 405);
  auto told = Client().Post(
      "/mcp", R"({"jsonrpc":"2.0","method":"notifications/initialized"})",
      "application/json");
  EXPECT_EQ(told->status, 202);
  EXPECT_EQ(told->body, "");
  const Json shaken =
      Post("/mcp", {{"jsonrpc", "2.0"},
                    {"id", 1},
                    {"method", "initialize"},
                    {"params", {{"protocolVersion", "2024-11-05"}}}})["result"];
  EXPECT_EQ(shaken["protocolVersion"], "2025-11-25");
  EXPECT_EQ(
      Post("/mcp",
           {{"jsonrpc", "2.0"}, {"id", 1}, {"method", "x"}})["error"]["code"],
      -32601);
}

TEST_F(HttpApiTest, RequestsAreCounted) {
  TestOptions options;
  options.configure = [](Config* config) {
    config->metrics_address = "127.0.0.1:0";
  };
  Start(std::move(options));
  Get("/v1/collections");
  Get("/v1/models");
  Client().Get("/");
  Client().Get("/nothing/canary");
  const std::string& metrics = service_->server().metrics_address();
  const auto scrape = httplib::Client("http://" + metrics).Get("/metrics");
  ASSERT_TRUE(scrape);
  for (const char* line : {"{status=\"2xx\",surface=\"api\"} 1",
                           "{status=\"2xx\",surface=\"openai\"} 1",
                           "{status=\"2xx\",surface=\"console\"} 1",
                           "{status=\"4xx\",surface=\"other\"} 1"}) {
    EXPECT_THAT(scrape->body,
                HasSubstr(absl::StrCat("braid_http_requests_total", line)));
  }
  EXPECT_THAT(scrape->body, Not(HasSubstr("canary")));
}

TEST_F(HttpApiTest, Embeds) {
  Start();
  const Json embedded = Post("/v1/embed", {{"texts", {"a lamp", "lamp a"}}});
  ASSERT_EQ(embedded["embeddings"].size(), 2u);
  EXPECT_EQ(embedded["embeddings"][0]["values"].size(), 64u);
  EXPECT_EQ(embedded["embeddings"][0], embedded["embeddings"][1]);
  EXPECT_EQ(embedded["embeddings"][0]["tokenCount"], 2);
  EXPECT_EQ(embedded["encoder"], "fake-encoder-64");
  Post("/v1/embed", Json::object(), 400);
  Post("/v1/embed", {{"texts", {"a", ""}}}, 400);
  Post("/v1/embed", {{"texts", std::vector<std::string>(257, "a")}}, 400);
  Post("/v1/embed", {{"texts", {std::string(65537, 'a')}}}, 400);
}

}  // namespace
}  // namespace braid::services
