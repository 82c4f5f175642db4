#include "services/adapters/transcoder.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "braid/v1/admin_service.pb.h"
#include "braid/v1/answer_service.pb.h"
#include "braid/v1/collection_service.pb.h"
#include "braid/v1/document_service.pb.h"
#include "braid/v1/generation_service.pb.h"
#include "braid/v1/operation_service.pb.h"
#include "braid/v1/retrieval_service.pb.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "services/adapters/event_stream.h"
#include "services/adapters/fields.h"
#include "services/adapters/json.h"
#include "services/adapters/status_reply.h"
#include "services/adapters/upload.h"

namespace braid::services::adapters {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string>& Services() {
  // The linker leaves out what nobody names.
  for (const google::protobuf::Message* linked :
       {static_cast<const google::protobuf::Message*>(
            &v1::GetServerInfoRequest::default_instance()),
        static_cast<const google::protobuf::Message*>(
            &v1::GetCollectionRequest::default_instance()),
        static_cast<const google::protobuf::Message*>(
            &v1::GenerateRequest::default_instance())}) {
    EXPECT_NE(linked->GetDescriptor(), nullptr);
  }
  static const auto& services = *new std::vector<std::string>{
      "braid.v1.CollectionService", "braid.v1.DocumentService",
      "braid.v1.RetrievalService",  "braid.v1.AnswerService",
      "braid.v1.GenerationService", "braid.v1.OperationService",
      "braid.v1.AdminService"};
  return services;
}

struct Outcome {
  std::string method;  // the first rule that has this path and verb
  absl::StatusOr<std::vector<std::unique_ptr<google::protobuf::Message>>>
      requests = absl::NotFoundError("");
};

Outcome Transcode(const http::Request& request) {
  const auto rules = RulesOf(Services());
  EXPECT_TRUE(rules.ok()) << rules.status();
  for (const HttpRule& rule : *rules) {
    const auto variables = rule.path.Match(request.path);
    if (!variables.has_value() || rule.verb != request.method) continue;
    return {rule.method->name(), RequestsOf(rule, *variables, request)};
  }
  return {};
}

http::Request Post(const std::string& path, const std::string& body,
                   const std::string& type = "application/json") {
  return {.method = "POST",
          .path = path,
          .headers = {{"Content-Type", type}},
          .body = body};
}

template <typename Request>
const Request& Only(const Outcome& outcome) {
  EXPECT_TRUE(outcome.requests.ok()) << outcome.requests.status();
  EXPECT_EQ(outcome.requests->size(), 1u);
  return dynamic_cast<const Request&>(*outcome.requests->front());
}

// A backup is a stream of files, and no JSON.
TEST(TranscoderTest, EveryMethodButBackupHasARule) {
  std::set<std::string> have;
  const auto rules = RulesOf(Services());
  ASSERT_TRUE(rules.ok()) << rules.status();
  for (const HttpRule& rule : *rules) {
    have.insert(rule.method->name());
    EXPECT_TRUE(rule.verb != "GET" || !rule.body);
  }
  std::set<std::string> all;
  for (const std::string& name : Services()) {
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
            name);
    for (int i = 0; i < service->method_count(); ++i) {
      all.insert(service->method(i)->name());
    }
  }
  all.erase("Backup");
  EXPECT_EQ(have, all);
}

TEST(TranscoderTest, BindsPathAndBody) {
  const Outcome outcome = Transcode(Post(
      "/v1/collections/docs:search",
      R"({"query":"x","topK":3,"legs":["LEG_BM25"],"collection":"collections/other",
               "fusion":{"rrf_k":7,"bm25Weight":0.5},"waitForSequence":"18446744073709551615"})"));
  EXPECT_EQ(outcome.method, "Search");
  const auto& search = Only<v1::SearchRequest>(outcome);
  EXPECT_EQ(search.collection(), "collections/docs");
  EXPECT_EQ(search.query(), "x");
  EXPECT_EQ(search.top_k(), 3);
  EXPECT_THAT(search.legs(), ElementsAre(v1::LEG_BM25));
  EXPECT_EQ(search.fusion().rrf_k(), 7u);
  EXPECT_EQ(search.fusion().bm25_weight(), 0.5);
  EXPECT_EQ(search.wait_for_sequence(), 18446744073709551615u);
}

TEST(TranscoderTest, BindsTheQuery) {
  const Outcome outcome = Transcode(
      {.method = "GET",
       .path = "/v1/operations",
       .query = "pageSize=7&page_token=a%20b&kind=KIND_INGEST&state=1"});
  EXPECT_EQ(outcome.method, "ListOperations");
  const auto& list = Only<v1::ListOperationsRequest>(outcome);
  EXPECT_EQ(list.page_size(), 7);
  EXPECT_EQ(list.page_token(), "a b");
  EXPECT_EQ(list.kind(), v1::Operation::KIND_INGEST);
  EXPECT_EQ(list.state(), v1::Operation::STATE_RUNNING);
}

TEST(TranscoderTest, DocumentsHaveSlashes) {
  const Outcome outcome =
      Transcode({.method = "GET",
                 .path = "/v1/collections/docs/documents/a/b%20c.md",
                 .query = "version=3"});
  EXPECT_EQ(outcome.method, "GetDocument");
  const auto& get = Only<v1::GetDocumentRequest>(outcome);
  EXPECT_EQ(get.name(), "collections/docs/documents/a/b c.md");
  EXPECT_EQ(get.version(), 3u);
}

TEST(TranscoderTest, StreamsOfAClientComeInThreeForms) {
  const std::string one = R"({"document":{"documentId":"1","text":"[,]}\"]"}})";
  const std::string two =
      R"({"collection":"collections/x","document":{"documentId":"2"}})";
  for (const http::Request& request :
       {Post("/v1/collections/c/documents",
             absl::StrCat(" [", one, " ,", two, "] ")),
        Post("/v1/collections/c/documents",
             absl::StrCat(one, "\n\n", two, "\n"),
             "application/x-ndjson; charset=utf-8")}) {
    const Outcome outcome = Transcode(request);
    EXPECT_EQ(outcome.method, "Ingest");
    ASSERT_TRUE(outcome.requests.ok()) << outcome.requests.status();
    ASSERT_EQ(outcome.requests->size(), 2u);
    for (const auto& message : *outcome.requests) {
      const auto& ingest = dynamic_cast<const v1::IngestRequest&>(*message);
      // Not even in a later message can it be another one.
      EXPECT_EQ(ingest.collection(), "collections/c");
    }
    EXPECT_EQ(dynamic_cast<const v1::IngestRequest&>(*outcome.requests->front())
                  .document()
                  .text(),
              "[,]}\"]");
  }
  EXPECT_EQ(Only<v1::IngestRequest>(
                Transcode(Post("/v1/collections/c/documents", one)))
                .document()
                .document_id(),
            "1");
  EXPECT_TRUE(
      Transcode(Post("/v1/collections/c/documents", "[]")).requests->empty());
}

TEST(TranscoderTest, WhatIsWrongIsNamed) {
  const std::string search = "/v1/collections/docs:search";
  const struct {
    http::Request request;
    const char* says;
  } kCases[] = {
      {Post(search, R"({"topk":3})"), "topk"},
      {Post(search, R"({"topK":"many"})"), "top_k"},
      {Post(search, R"({"topK":1e20})"), "top_k"},
      {Post(search, R"({"legs":["LEG_NONE"]})"), "LEG_NONE"},
      {Post(search, "{"), "not JSON"},
      {Post(search, "[1]"), "not JSON"},
      {Post(search, "{} {}"), "not JSON"},
      {Post(search, "{\"query\":\"\xff\"}"), "not JSON"},
      {Post(search, std::string(1000, '[')), "deeper"},
      {Post(search, "{\"query\":" + std::string(100000, '{')), "deeper"},
      {Post(search, "{}", "text/plain"), "content-type"},
      {Post("/v1/collections/c/documents", "[{}"), "not a JSON array"},
      {Post("/v1/collections/c/documents", "[{}]x"), "not a JSON array"},
      {Post("/v1/collections/c/documents", "[{},]"), "not JSON"},
      {Post("/v1/collections/%ff:search", "{}"), "UTF-8"},
  };
  for (const auto& wrong : kCases) {
    const Outcome outcome = Transcode(wrong.request);
    ASSERT_FALSE(outcome.requests.ok()) << wrong.request.body;
    EXPECT_EQ(outcome.requests.status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(outcome.requests.status().message()),
                HasSubstr(wrong.says));
  }
  http::Request query = Post(search, "{}");
  query.query = "query=x";
  EXPECT_FALSE(Transcode(query).requests.ok());
  for (const char* wrong :
       {"pagesize=1", "pageSize=x", "pageSize=99999999999",
        "pageSize=", "kind=NONE", "kind=99", "state.x=1", "=1"}) {
    EXPECT_FALSE(
        Transcode({.method = "GET", .path = "/v1/operations", .query = wrong})
            .requests.ok())
        << wrong;
  }
  EXPECT_FALSE(
      Transcode({.method = "GET", .path = "/v1/operations", .body = "{}"})
          .requests.ok());
}

TEST(TranscoderTest, FieldsOfMessagesInside) {
  v1::SearchRequest search;
  EXPECT_TRUE(SetField("fusion.bm25Weight", "0.25", &search).ok());
  EXPECT_TRUE(SetField("legs", "LEG_DENSE", &search).ok());
  EXPECT_TRUE(SetField("legs", "1", &search).ok());
  EXPECT_TRUE(SetField("explain", "true", &search).ok());
  EXPECT_EQ(search.fusion().bm25_weight(), 0.25);
  EXPECT_THAT(search.legs(), ElementsAre(v1::LEG_DENSE, v1::LEG_BM25));
  EXPECT_TRUE(search.explain());
  for (const char* path :
       {"fusion", "fusion.x", "query.x", "legs.x", "", "."}) {
    EXPECT_FALSE(SetField(path, "1", &search).ok()) << path;
  }
  v1::SourceFile file;
  EXPECT_FALSE(SetField("content", "bytes", &file).ok());
}

TEST(TranscoderTest, Uploads) {
  http::Request request = {.method = "POST",
                           .query = "document_id=a%2Fb.pdf&force=true",
                           .headers = {{"Content-Type", "application/pdf; x"}},
                           .body = std::string("\0\xff%PDF", 6)};
  auto ingest = UploadOf("collections/c", request);
  ASSERT_TRUE(ingest.ok()) << ingest.status();
  EXPECT_EQ(ingest->collection(), "collections/c");
  EXPECT_EQ(ingest->source().document_id(), "a/b.pdf");
  EXPECT_EQ(ingest->source().file_name(), "a/b.pdf");
  EXPECT_EQ(ingest->source().media_type(), "application/pdf");
  EXPECT_EQ(ingest->source().content(), request.body);
  EXPECT_TRUE(ingest->force());
  request.headers = {{"Content-Type", "application/octet-stream"}};
  EXPECT_EQ(UploadOf("collections/c", request)->source().media_type(), "");
  request.query = "collection=collections/d";
  EXPECT_FALSE(UploadOf("collections/c", request).ok());
}

TEST(TranscoderTest, ErrorsAreStatuses) {
  google::rpc::Status status = InvalidField("top_k", "too many");
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(200'000'000);
  status.add_details()->PackFrom(retry);
  const http::Reply reply = ErrorReply(status);
  EXPECT_EQ(reply.status, 400);
  const Json json = Json::parse(reply.body);
  EXPECT_EQ(json["code"], 3);
  EXPECT_EQ(json["details"][0]["fieldViolations"][0]["field"], "top_k");
  EXPECT_EQ(json["details"][0]["@type"],
            "type.googleapis.com/google.rpc.BadRequest");
  EXPECT_THAT(reply.headers,
              ::testing::Contains(::testing::Pair("Retry-After", "1")));
  EXPECT_THAT(ErrorHeaders(MakeStatus(absl::StatusCode::kUnauthenticated, "")),
              ElementsAre(::testing::Pair("WWW-Authenticate", "Bearer")));
}

// The table beside each code in google/rpc/code.proto.
TEST(TranscoderTest, CodesOfHttp) {
  const int kStatus[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                         400, 409, 400, 501, 500, 503, 500, 401};
  for (int code = 0; code < 17; ++code) {
    EXPECT_EQ(HttpStatusOf(code), kStatus[code]) << code;
  }
  EXPECT_EQ(HttpStatusOf(99), 500);
}

TEST(TranscoderTest, OnlySomeHeadersGoWithTheCall) {
  http::Request request = {.headers = {{"Authorization", "Bearer k"},
                                       {"Traceparent", "00-1-2-01"},
                                       {"Grpc-Timeout", "1500m"},
                                       {"x-forwarded-for", "10.0.0.1"},
                                       {"grpc-status", "0"},
                                       {"x-request-id", "a\x01"}}};
  auto headers = HeadersOf(request);
  ASSERT_TRUE(headers.ok());
  EXPECT_EQ(headers->metadata, (http::Headers{{"authorization", "Bearer k"},
                                              {"traceparent", "00-1-2-01"}}));
  EXPECT_EQ(headers->timeout, absl::Milliseconds(1500));
  for (const char* wrong :
       {"1", "S", "-1S", "1s", "999999999S", "1.5S", " 1S"}) {
    request.headers = {{"grpc-timeout", wrong}};
    EXPECT_FALSE(HeadersOf(request).ok()) << wrong;
  }
  request.headers = {{"authorization", "Bearer \xc3\xa4"}};
  EXPECT_EQ(HeadersOf(request).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST(TranscoderTest, Events) {
  EXPECT_EQ(ServerSentEvent("{}"), "data: {}\n\n");
  EXPECT_EQ(ServerSentEvent("{}", "error"), "event: error\ndata: {}\n\n");
  v1::AnswerResponse response;
  response.set_delta("two\nlines\r\ndata: x");
  // What a document holds cannot begin an event.
  EXPECT_EQ(ToJson(response).find_first_of("\r\n"), std::string::npos);
}

}  // namespace
}  // namespace braid::services::adapters
