// A server that is watched: scraped over HTTP, traced to a collector that is a
// server of this test.
#include <httplib.h>
#include <stdlib.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"
#include "test_service.h"
#include "tests/steady.h"
#include "tests/telemetry/exposition.h"

namespace braid::services {
namespace {

using Json = nlohmann::json;
using telemetry::Exposition;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kParent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
// In questions, documents, names: nothing of it may leave with the telemetry.
constexpr char kCanary[] = "canary";

int PortOf(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port))
      << address;
  return port;
}

// Takes spans over OTLP/HTTP.
class Collector {
 public:
  Collector() {
    // The machine's proxy has no business with this one.
    setenv("no_proxy", "127.0.0.1", 1);
    server_.Post("/v1/traces", [this](const httplib::Request& request,
                                      httplib::Response& response) {
      response.set_content("{}", "application/json");
      const Json body = Json::parse(request.body);
      const std::lock_guard<std::mutex> lock(mutex_);
      bodies_ += request.body;
      for (const Json& span :
           body["resourceSpans"][0]["scopeSpans"][0]["spans"]) {
        spans_.push_back(span);
      }
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Collector() {
    server_.stop();
    thread_.join();
  }

  std::string url() const { return absl::StrCat("http://127.0.0.1:", port_); }
  std::vector<Json> spans() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return spans_;
  }
  std::string bodies() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bodies_;
  }

 private:
  httplib::Server server_;
  std::mutex mutex_;
  std::vector<Json> spans_;
  std::string bodies_;
  int port_ = 0;
  std::thread thread_;
};

class MonitorTest : public ::testing::Test {
 protected:
  void Start(TestOptions options = {}) {
    options.address = "127.0.0.1:0";
    options.configure = [this, more = options.configure](Config* config) {
      config->metrics_address = "127.0.0.1:0";
      config->otlp_endpoint = collector_.url();
      if (more) more(config);
    };
    service_ = std::make_unique<TestService>(std::move(options));
  }
  // Writes a text, and waits until searches see it.
  void Put(const std::string& id, const std::string& text) {
    service_->Put("docs", id, text);
    EXPECT_TRUE(service_->runtime()
                    .backend()
                    .WaitUntilCurrent("docs", SteadyIn(absl::Seconds(20)))
                    .ok());
  }
  httplib::Result Get(const char* path) {
    return httplib::Client("127.0.0.1",
                           PortOf(service_->server().metrics_address()))
        .Get(path);
  }
  Exposition Scrape() {
    const auto reply = Get("/metrics");
    EXPECT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->get_header_value("Content-Type"),
              "text/plain; version=0.0.4; charset=utf-8");
    text_ = reply->body;
    auto parsed = telemetry::ParseExposition(text_);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return parsed.ok() ? *std::move(parsed) : Exposition();
  }
  grpc::Status Search(const std::string& text,
                      const std::string& collection = "collections/docs",
                      const char* traceparent = nullptr) {
    grpc::ClientContext context;
    if (traceparent != nullptr) {
      context.AddMetadata("traceparent", traceparent);
    }
    v1::SearchRequest request;
    request.set_collection(collection);
    request.set_query(text);
    const grpc::Status status =
        service_->retrieval().Search(&context, request, &found_);
    const auto& sent = context.GetServerInitialMetadata();
    const auto at = sent.find("traceparent");
    returned_ = at == sent.end()
                    ? ""
                    : std::string(at->second.data(), at->second.size());
    return status;
  }
  // Its final event.
  v1::AnswerFinal Ask(const std::string& question) {
    grpc::ClientContext context;
    v1::AnswerRequest request;
    request.set_collection("collections/docs");
    request.set_question(question);
    auto stream = service_->answers().Answer(&context, request);
    v1::AnswerResponse response;
    v1::AnswerFinal final;
    while (stream->Read(&response)) {
      if (response.has_stage()) asked_.insert(response.stage().stage());
      if (response.has_final()) final = response.final();
    }
    EXPECT_TRUE(stream->Finish().ok());
    return final;
  }
  // Ends the server, so that its spans are sent.
  std::vector<Json> Spans() {
    service_->server().Shutdown(absl::Seconds(10));
    return collector_.spans();
  }
  static std::map<std::string, Json> ByName(const std::vector<Json>& spans) {
    std::map<std::string, Json> named;
    for (const Json& span : spans) named[span["name"]] = span;
    return named;
  }

  Collector collector_;
  std::unique_ptr<TestService> service_;
  v1::SearchResponse found_;
  std::string returned_;         // `traceparent` of the last search
  std::set<std::string> asked_;  // stages of answers
  std::string text_;             // of the last scrape
};

TEST_F(MonitorTest, AScrapeSaysWhatHasHappened) {
  Start();
  Exposition scraped = Scrape();
  // Every RPC of the API is there before it is called.
  int rpcs = 0;
  for (const char* name :
       {"AdminService", "AnswerService", "CollectionService", "DocumentService",
        "GenerationService", "OperationService", "RetrievalService"}) {
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
            absl::StrCat("braid.v1.", name));
    ASSERT_NE(service, nullptr);
    for (int i = 0; i < service->method_count(); ++i, ++rpcs) {
      EXPECT_EQ(scraped.samples.count(
                    absl::StrCat("braid_rpc_requests_total{code=\"OK\",rpc=\"",
                                 name, "/", service->method(i)->name(), "\"}")),
                1u)
          << service->method(i)->full_name();
    }
  }
  EXPECT_GT(rpcs, 15);
  EXPECT_EQ(scraped.samples["braid_collections"], 0);
  EXPECT_EQ(scraped.samples["braid_ready"], 1);
  EXPECT_THAT(text_, HasSubstr("braid_build_info{version=\""));

  Put("a", "The canary sings in the morning.");
  Put("a", "The canary sings in the evening.");
  Put("a", "The canary sings in the evening.");
  service_->Ingest({TextRequest("docs", "", "")});
  ASSERT_TRUE(Search("canary").ok());
  EXPECT_EQ(Search("canary", "collections/none").error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Search("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const v1::AnswerFinal final = Ask("When does the canary sing?");
  EXPECT_EQ(final.finish_reason(), v1::FINISH_REASON_STOP);

  scraped = Scrape();
  const auto& samples = scraped.samples;
  const auto requests = [&](const char* rpc, const char* code) {
    return samples.at(absl::StrCat("braid_rpc_requests_total{code=\"", code,
                                   "\",rpc=\"", rpc, "\"}"));
  };
  EXPECT_EQ(requests("RetrievalService/Search", "OK"), 1);
  EXPECT_EQ(requests("RetrievalService/Search", "NOT_FOUND"), 1);
  EXPECT_EQ(requests("RetrievalService/Search", "INVALID_ARGUMENT"), 1);
  EXPECT_EQ(requests("AnswerService/Answer", "OK"), 1);
  EXPECT_EQ(requests("DocumentService/Ingest", "OK"), 4);
  EXPECT_EQ(samples.at("braid_rpc_duration_seconds_count{rpc=\""
                       "RetrievalService/Search\"}"),
            3);
  EXPECT_EQ(samples.at("braid_rpc_in_flight{rpc=\"RetrievalService/Search\"}"),
            0);
  for (const char* outcome : {"created", "replaced", "unchanged", "failed"}) {
    EXPECT_EQ(samples.at(absl::StrCat(
                  "braid_ingested_documents_total{outcome=\"", outcome, "\"}")),
              1)
        << outcome;
  }
  EXPECT_EQ(samples.at("braid_answers_total{finish_reason=\"stop\"}"), 1);
  // What the response says of its stages is what was counted.
  std::map<std::string, int> stages;
  for (const auto& stage : found_.stages()) ++stages[stage.stage()];
  EXPECT_THAT(asked_, IsSupersetOf({"bm25", "dense", "plan", "generate"}));
  for (const char* stage : {"bm25", "dense", "embed", "fuse", "fetch"}) {
    EXPECT_EQ(samples.at(absl::StrCat(
                  "braid_stage_duration_seconds_count{stage=\"", stage, "\"}")),
              2)
        << stage;
  }
  EXPECT_EQ(
      samples.at("braid_stage_duration_seconds_count{stage=\"generate\"}"), 1);
  EXPECT_EQ(samples.at("braid_stage_duration_seconds_count{stage=\"other\"}"),
            0);
  EXPECT_EQ(samples.at("braid_collections"), 1);
  EXPECT_GT(samples.at("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(samples.at("process_cpu_seconds_total"), 0);
  EXPECT_GT(samples.at("process_open_fds"), 3);
  EXPECT_GT(samples.at("process_start_time_seconds"), 1.6e9);
  // Names, ids, queries and texts of clients are in no label.
  EXPECT_THAT(text_, Not(HasSubstr(kCanary)));
  EXPECT_THAT(text_, Not(HasSubstr("docs")));
}

TEST_F(MonitorTest, LagIsWhatTheIndexesHaveNotApplied) {
  Start();
  Put("a", "one");
  Exposition scraped = Scrape();
  EXPECT_EQ(scraped.samples.at("braid_index_lag_sequences{leg=\"bm25\"}"), 0);
  EXPECT_EQ(scraped.samples.at("braid_index_lag_sequences{leg=\"dense\"}"), 0);
  // With the indexers stopped, what is written stays ahead of them.
  service_->runtime().backend().Shutdown();
  std::vector<retrieval::DocumentWrite> writes(3);
  for (size_t i = 0; i < writes.size(); ++i) {
    writes[i].id = absl::StrCat("new-", i);
    writes[i].text = "text";
  }
  for (const auto& result : service_->runtime().backend().store()->PutDocuments(
           "docs", writes, /*force=*/false)) {
    ASSERT_TRUE(result.ok()) << result.status();
  }
  scraped = Scrape();
  EXPECT_EQ(scraped.samples.at("braid_index_lag_sequences{leg=\"bm25\"}"), 3);
  EXPECT_EQ(scraped.samples.at("braid_index_lag_sequences{leg=\"dense\"}"), 3);
}

TEST_F(MonitorTest, QueuesAndRefusalsAreSeen) {
  absl::Notification finish;
  TestOptions options;
  options.limits.max_concurrent_answers = 2;
  options.generator =
      [&](const generation::GenerationRequest&,
          const generation::TextSink& sink,
          std::stop_token) -> absl::StatusOr<generation::GenerationResult> {
    sink("x");
    finish.WaitForNotification();
    return generation::GenerationResult{generation::FinishReason::kStop, 5, 11};
  };
  Start(options);
  v1::GenerateRequest request;
  request.set_prompt("x");
  grpc::ClientContext contexts[3];
  v1::GenerateResponse response;
  auto first = service_->generation().Generate(&contexts[0], request);
  ASSERT_TRUE(first->Read(&response));
  auto second = service_->generation().Generate(&contexts[1], request);
  ASSERT_TRUE(second->Read(&response));
  auto third = service_->generation().Generate(&contexts[2], request);
  EXPECT_FALSE(third->Read(&response));
  EXPECT_EQ(third->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);

  auto samples = Scrape().samples;
  EXPECT_EQ(samples.at("braid_queue_running{pool=\"answers\"}"), 2);
  EXPECT_EQ(samples.at("braid_queue_depth{pool=\"answers\"}"), 0);
  EXPECT_EQ(samples.at("braid_queue_limit{pool=\"answers\"}"), 2);
  EXPECT_EQ(samples.at("braid_queue_rejected_total{pool=\"answers\"}"), 1);
  EXPECT_EQ(
      samples.at("braid_rpc_in_flight{rpc=\"GenerationService/Generate\"}"), 2);
  EXPECT_EQ(samples.at("braid_rpc_requests_total{code=\"RESOURCE_EXHAUSTED\","
                       "rpc=\"GenerationService/Generate\"}"),
            1);
  finish.Notify();
  for (auto* stream : {&first, &second}) {
    while ((*stream)->Read(&response)) {
    }
    EXPECT_TRUE((*stream)->Finish().ok());
  }
  samples = Scrape().samples;
  EXPECT_EQ(samples.at("braid_generated_tokens_total"), 22);
  EXPECT_EQ(
      samples.at("braid_rpc_in_flight{rpc=\"GenerationService/Generate\"}"), 0);
}

TEST_F(MonitorTest, ProbesFollowTheServer) {
  absl::Notification finish;
  TestOptions options;
  options.generator =
      [&](const generation::GenerationRequest&,
          const generation::TextSink& sink,
          std::stop_token) -> absl::StatusOr<generation::GenerationResult> {
    sink("x");
    finish.WaitForNotification();
    return generation::GenerationResult{};
  };
  Start(options);
  EXPECT_EQ(Get("/healthz")->status, 200);
  EXPECT_EQ(Get("/readyz")->status, 200);
  EXPECT_EQ(Get("/")->status, 404);
  EXPECT_EQ(
      httplib::Client("127.0.0.1", PortOf(service_->server().metrics_address()))
          .Post("/metrics")
          ->status,
      405);
  grpc::ClientContext context;
  v1::GenerateRequest request;
  request.set_prompt("x");
  v1::GenerateResponse response;
  auto stream = service_->generation().Generate(&context, request);
  ASSERT_TRUE(stream->Read(&response));
  std::thread shutdown(
      [this] { service_->server().Shutdown(absl::Seconds(20)); });
  const absl::Time start = absl::Now();
  while (Get("/readyz")->status != 503) {
    ASSERT_LT(absl::Now() - start, absl::Seconds(10));
  }
  // It drains: alive, and still to be watched.
  EXPECT_EQ(Get("/healthz")->status, 200);
  EXPECT_EQ(Scrape().samples.at("braid_ready"), 0);
  EXPECT_EQ(Search("x").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Scrape().samples.at("braid_rpc_requests_total{code=\"UNAVAILABLE\","
                                "rpc=\"RetrievalService/Search\"}"),
            1)
      << "also what is refused on arrival is counted";
  finish.Notify();
  while (stream->Read(&response)) {
  }
  shutdown.join();
  EXPECT_FALSE(Get("/healthz"));
}

TEST_F(MonitorTest, ASearchIsASpanWithItsStages) {
  Start();
  Put("canary-id", "The canary sings.");
  ASSERT_TRUE(Search("canary song", "collections/docs", kParent).ok());
  EXPECT_THAT(returned_, StartsWith(absl::StrCat("00-", kTraceId, "-")));
  EXPECT_THAT(returned_, ::testing::EndsWith("-01"));

  std::map<std::string, Json> traced;
  for (const Json& span : Spans()) {
    if (span["traceId"] == kTraceId) traced[span["name"]] = span;
  }
  const Json& call = traced.at("braid.v1.RetrievalService/Search");
  EXPECT_EQ(call["parentSpanId"], "00f067aa0ba902b7");
  EXPECT_EQ(call["kind"], 2);
  EXPECT_EQ(returned_, absl::StrCat("00-", kTraceId, "-",
                                    call["spanId"].get<std::string>(), "-01"));
  std::map<std::string, Json> attributes;
  for (const Json& attribute : call["attributes"]) {
    attributes[attribute["key"]] = attribute["value"];
  }
  EXPECT_EQ(attributes["rpc.system"]["stringValue"], "grpc");
  EXPECT_EQ(attributes["rpc.service"]["stringValue"],
            "braid.v1.RetrievalService");
  EXPECT_EQ(attributes["rpc.method"]["stringValue"], "Search");
  EXPECT_EQ(attributes["rpc.grpc.status_code"]["intValue"], "0");
  EXPECT_THAT(attributes, SizeIs(4));

  const auto nanos = [](const Json& span, const char* key) {
    int64_t value = 0;
    EXPECT_TRUE(absl::SimpleAtoi(span[key].get<std::string>(), &value));
    return value;
  };
  // The spans are the stages of the response, with their times.
  ASSERT_THAT(found_.stages(), Not(IsEmpty()));
  for (const auto& stage : found_.stages()) {
    ASSERT_TRUE(traced.contains(stage.stage())) << stage.stage();
    const Json& span = traced.at(stage.stage());
    EXPECT_EQ(span["parentSpanId"], call["spanId"]);
    EXPECT_EQ(span["kind"], 1);
    EXPECT_GE(nanos(span, "startTimeUnixNano"),
              nanos(call, "startTimeUnixNano"));
    EXPECT_LE(nanos(span, "endTimeUnixNano"), nanos(call, "endTimeUnixNano"));
    // One that ran more than once is one of these.
    const int64_t elapsed =
        stage.elapsed().seconds() * 1'000'000'000 + stage.elapsed().nanos();
    if (stage.stage() != "fetch" && stage.stage() != "merge") {
      EXPECT_EQ(
          nanos(span, "endTimeUnixNano") - nanos(span, "startTimeUnixNano"),
          elapsed);
    }
  }
  EXPECT_THAT(collector_.bodies(), Not(HasSubstr(kCanary)));
  EXPECT_THAT(collector_.bodies(), Not(HasSubstr("docs")));
}

TEST_F(MonitorTest, TheLogLineOfACallHasItsTraceId) {
  TestOptions options;
  options.configure = [](Config* config) { config->log_level = "info"; };
  ::testing::internal::CaptureStderr();
  Start(options);
  Put("a", "text");
  ASSERT_TRUE(Search("text", "collections/docs", kParent).ok());
  service_->server().Shutdown(absl::Seconds(10));
  const std::string log = ::testing::internal::GetCapturedStderr();
  std::istringstream lines(log);
  int calls = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!absl::StrContains(line, "rpc=RetrievalService/Search")) continue;
    ++calls;
    EXPECT_THAT(line, HasSubstr(absl::StrCat(" trace_id=", kTraceId, " ")));
    EXPECT_THAT(line, HasSubstr(" request_id="));
  }
  EXPECT_EQ(calls, 1) << log;
}

TEST_F(MonitorTest, EveryKindOfCallIsTraced) {
  Start();
  Put("a", "The canary sings in the morning.");
  Ask("When does the canary sing?");
  EXPECT_EQ(Search("x", "collections/none", "malformed").error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(returned_, MatchesRegex("00-[0-9a-f]*-[0-9a-f]*-01"));
  const std::vector<Json> spans = Spans();
  const auto named = ByName(spans);
  const Json& ingest = named.at("braid.v1.DocumentService/Ingest");
  const Json& answer = named.at("braid.v1.AnswerService/Answer");
  const Json& search = named.at("braid.v1.RetrievalService/Search");
  const std::set<std::string> traces = {ingest["traceId"], answer["traceId"],
                                        search["traceId"]};
  EXPECT_THAT(traces, SizeIs(3)) << "a fresh trace each";
  EXPECT_THAT(returned_, HasSubstr(search["traceId"].get<std::string>()));
  for (const Json& call : {ingest, answer, search}) {
    EXPECT_FALSE(call.contains("parentSpanId"));
  }
  EXPECT_FALSE(search.contains("status")) << "the client's error, not ours";
  for (const char* stage :
       {"embed", "bm25", "dense", "fuse", "fetch", "plan", "generate"}) {
    ASSERT_TRUE(named.contains(stage)) << stage;
    EXPECT_EQ(named.at(stage)["parentSpanId"], answer["spanId"]) << stage;
  }
  EXPECT_THAT(collector_.bodies(), Not(HasSubstr(kCanary)));
}

TEST_F(MonitorTest, TheCallersDecisionAndTheRatioDecide) {
  TestOptions options;
  options.configure = [](Config* config) { config->trace_sample_ratio = 0; };
  Start(options);
  Put("a", "text");
  std::string unsampled = kParent;
  unsampled.back() = '0';
  ASSERT_TRUE(Search("text", "collections/docs", unsampled.c_str()).ok());
  EXPECT_THAT(returned_, ::testing::EndsWith("-00"));
  ASSERT_TRUE(Search("text").ok());
  EXPECT_THAT(returned_, ::testing::EndsWith("-00"));
  ASSERT_TRUE(Search("text", "collections/docs", kParent).ok());
  const std::vector<Json> spans = Spans();
  ASSERT_THAT(spans, Not(IsEmpty()));
  for (const Json& span : spans) EXPECT_EQ(span["traceId"], kTraceId);
}

TEST_F(MonitorTest, ACollectorThatIsNotThereCostsSpansAndNothingElse) {
  TestOptions options;
  options.configure = [](Config* config) {
    config->otlp_endpoint = "http://127.0.0.1:1";
  };
  Start(options);
  Put("a", "text");
  const absl::Time start = absl::Now();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Search("text").ok());
  // Two attempts and their delays later the first batch is given up.
  double dropped = 0;
  while (dropped == 0 && absl::Now() - start < absl::Seconds(20)) {
    absl::SleepFor(absl::Milliseconds(50));
    dropped = Scrape().samples.at("braid_spans_dropped_total");
  }
  EXPECT_GT(dropped, 0);
  EXPECT_EQ(Scrape().samples.at("braid_spans_exported_total"), 0);
  const absl::Time end = absl::Now();
  service_->server().Shutdown(absl::ZeroDuration());
  EXPECT_LT(absl::Now() - end, absl::Seconds(5));
}

TEST_F(MonitorTest, SpansThatWereTakenAreCounted) {
  Start();
  Put("a", "text");
  const absl::Time start = absl::Now();
  while (Scrape().samples.at("braid_spans_exported_total") == 0) {
    ASSERT_LT(absl::Now() - start, absl::Seconds(20));
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(Scrape().samples.at("braid_spans_dropped_total"), 0);
}

TEST_F(MonitorTest, WithoutAnAddressNothingListensAndNothingIsSent) {
  TestOptions options;
  options.configure = [this](Config* config) {
    config->metrics_address = "127.0.0.1:0";
    config->otlp_endpoint = collector_.url();
  };
  service_ = std::make_unique<TestService>(std::move(options));
  EXPECT_EQ(service_->server().metrics_address(), "");
  Put("a", "text");
  ASSERT_TRUE(Search("text").ok());
  EXPECT_EQ(returned_, "");
  EXPECT_THAT(Spans(), IsEmpty());
}

TEST_F(MonitorTest, BadSettingsAreNamed) {
  Start();
  const auto start = [](std::function<void(Config*)> configure) {
    TestOptions options;
    options.configure = std::move(configure);
    // In process they are not looked at.
    TestService other(options);
    return Server::Start(&other.runtime(), "127.0.0.1:0").status();
  };
  absl::Status status =
      start([](Config* config) { config->metrics_address = "nonsense"; });
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("metrics_address"));
  status = start([this](Config* config) {
    config->metrics_address = service_->server().metrics_address();
  });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(service_->server().metrics_address()));
  status =
      start([](Config* config) { config->otlp_endpoint = "collector:4318"; });
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("otlp_endpoint"));
  status = start([this](Config* config) {
    config->otlp_endpoint = collector_.url();
    config->otlp_headers_file = "/no/headers";
  });
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("`otlp_headers_file`: /no/headers"));
}

}  // namespace
}  // namespace braid::services
