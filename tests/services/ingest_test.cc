#include <map>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/impl/codegen/rpc_method.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/sync_stream.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::HasSubstr;

// Bar: a document that fails is answered and never ends the stream.
TEST(Ingest, TwoHundredDocumentsWithFailuresAmongThem) {
  TestService service;
  std::vector<v1::IngestRequest> requests;
  for (uint64_t i = 0; i < 200; ++i) {
    v1::IngestRequest request =
        TextRequest("docs", absl::StrCat("doc/", i),
                    absl::StrCat("number", i, " is the text of this document"));
    if (i > 0) request.clear_collection();
    request.set_correlation_id(i + 1);
    switch (i % 10) {
      case 3:
        request.mutable_document()->clear_text();
        break;
      case 5:
        (*request.mutable_document()->mutable_metadata()->mutable_fields())["x"]
            .mutable_struct_value();
        break;
      case 7:
        request.mutable_source()->set_document_id(absl::StrCat("doc/", i));
        request.mutable_source()->set_content(
            std::string("\x7F"
                        "ELF\0\0\0",
                        7));
        break;
      case 9:
        request.clear_input();
        break;
      default:
        break;
    }
    requests.push_back(request);
  }
  const auto responses = service.Ingest(requests);
  ASSERT_EQ(responses.size(), 200u);
  std::set<uint64_t> seen;
  uint64_t newest = 0;
  for (const v1::IngestResponse& response : responses) {
    EXPECT_TRUE(seen.insert(response.correlation_id()).second);
    const uint64_t i = response.correlation_id() - 1;
    const bool bad = i % 10 == 3 || i % 10 == 5 || i % 10 == 7 || i % 10 == 9;
    EXPECT_EQ(response.outcome(), bad ? v1::IngestResponse::OUTCOME_FAILED
                                      : v1::IngestResponse::OUTCOME_CREATED)
        << i << response.DebugString();
    EXPECT_EQ(response.has_error(), bad);
    newest = std::max<uint64_t>(newest, response.sequence());
    google::rpc::BadRequest bad_request;
    google::rpc::ErrorInfo info;
    if (i % 10 == 3) {
      ASSERT_TRUE(GetDetail(response.error(), &bad_request));
      EXPECT_EQ(bad_request.field_violations(0).field(), "document.text");
    } else if (i % 10 == 7) {
      ASSERT_TRUE(GetDetail(response.error(), &info));
      EXPECT_EQ(info.metadata().at("stage"), "parse");
    }
  }
  // What was acknowledged is there, and searches can wait for it.
  v1::SearchRequest search;
  search.set_collection("collections/docs");
  search.set_query("number142");
  search.add_legs(v1::LEG_BM25);
  search.set_wait_for_sequence(newest);
  grpc::ClientContext context;
  v1::SearchResponse found;
  ASSERT_TRUE(service.retrieval().Search(&context, search, &found).ok());
  ASSERT_EQ(found.passages_size(), 1);
  EXPECT_EQ(found.passages(0).chunk().document(),
            "collections/docs/documents/doc/142");
}

TEST(Ingest, OutcomesOfTheSameDocument) {
  TestService service;
  v1::IngestRequest request = TextRequest("docs", "a", "first text");
  auto outcome = [&] { return service.Ingest({request}).at(0); };
  EXPECT_EQ(outcome().outcome(), v1::IngestResponse::OUTCOME_CREATED);
  EXPECT_EQ(outcome().outcome(), v1::IngestResponse::OUTCOME_UNCHANGED);
  request.set_force(true);
  EXPECT_EQ(outcome().outcome(), v1::IngestResponse::OUTCOME_REPLACED);
  request.set_force(false);
  request.mutable_document()->set_text("second text");
  request.set_request_id("once");
  const v1::IngestResponse replaced = outcome();
  EXPECT_EQ(replaced.outcome(), v1::IngestResponse::OUTCOME_REPLACED);
  EXPECT_EQ(replaced.version(), 3u);
  // The same request id: the first result again, and nothing is written.
  request.mutable_document()->set_text("third text");
  const v1::IngestResponse repeated = outcome();
  EXPECT_EQ(repeated.version(), 3u);
  EXPECT_EQ(repeated.sequence(), replaced.sequence());
}

TEST(Ingest, FirstRequestNeedsACollection) {
  TestService service;
  v1::IngestRequest request = TextRequest("docs", "a", "text");
  request.clear_collection();
  v1::IngestRequest broken = TextRequest("Bad", "b", "text");
  const auto responses =
      service.Ingest({request, broken, TextRequest("docs", "c", "text"),
                      TextRequest("other", "d", "text")});
  ASSERT_EQ(responses.size(), 4u);
  std::map<std::string, v1::IngestResponse> by_id;
  for (const auto& r : responses) by_id[r.document_id()] = r;
  for (const char* id : {"a", "b"}) {
    google::rpc::BadRequest bad_request;
    ASSERT_TRUE(GetDetail(by_id[id].error(), &bad_request)) << id;
    EXPECT_EQ(bad_request.field_violations(0).field(), "collection");
  }
  EXPECT_EQ(by_id["c"].outcome(), v1::IngestResponse::OUTCOME_CREATED);
  EXPECT_EQ(by_id["d"].outcome(), v1::IngestResponse::OUTCOME_CREATED);
}

using RawStream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

std::unique_ptr<RawStream> RawIngest(TestService& service,
                                     grpc::ClientContext* context) {
  static constexpr char kMethod[] = "/braid.v1.DocumentService/Ingest";
  return std::unique_ptr<RawStream>(
      grpc::internal::
          ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
              service.channel().get(),
              grpc::internal::RpcMethod(
                  kMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                  service.channel()),
              context));
}

grpc::ByteBuffer Bytes(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

TEST(Ingest, MessagesThatDoNotParseAreAnsweredToo) {
  TestService service;
  grpc::ClientContext context;
  auto stream = RawIngest(service, &context);
  ASSERT_TRUE(stream->Write(Bytes("\xFF\xFF\xFF not a message")));
  // Field 1 (collection) with bytes that are not UTF-8.
  ASSERT_TRUE(stream->Write(Bytes("\x0A\x02\xC3\x28")));
  ASSERT_TRUE(stream->Write(
      Bytes(TextRequest("docs", "a", "text").SerializeAsString())));
  stream->WritesDone();
  int failed = 0;
  int created = 0;
  grpc::ByteBuffer buffer;
  while (stream->Read(&buffer)) {
    v1::IngestResponse response;
    ASSERT_TRUE(grpc::SerializationTraits<v1::IngestResponse>::Deserialize(
                    &buffer, &response)
                    .ok());
    failed += response.outcome() == v1::IngestResponse::OUTCOME_FAILED;
    created += response.outcome() == v1::IngestResponse::OUTCOME_CREATED;
    if (response.has_error()) {
      EXPECT_THAT(response.error().message(), HasSubstr("IngestRequest"));
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(created, 1);
}

// A client that writes and never reads its acknowledgements is not read
// further, and in the end is sent away.
TEST(Ingest, UnreadAcknowledgementsStopTheStream) {
  TestOptions options;
  options.limits.max_unacknowledged_documents = 4;
  options.limits.max_write_stall = absl::Milliseconds(200);
  TestService service(options);
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  int written = 0;
  const absl::Time start = absl::Now();
  while (written < 100000 && stream->Write(TextRequest(
                                 "docs", absl::StrCat("d", written), "text"))) {
    ++written;
  }
  EXPECT_LT(written, 100);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  v1::IngestResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
}

TEST(Ingest, IdleStreamsAreEnded) {
  TestOptions options;
  options.limits.max_ingest_idle = absl::Milliseconds(100);
  TestService service(options);
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  ASSERT_TRUE(stream->Write(TextRequest("docs", "a", "text")));
  v1::IngestResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.outcome(), v1::IngestResponse::OUTCOME_CREATED);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST(Ingest, StreamsBeyondTheLimitAreToldWhenToRetry) {
  TestOptions options;
  options.limits.max_concurrent_ingest_streams = 1;
  TestService service(options);
  grpc::ClientContext first_context;
  auto first = service.documents().Ingest(&first_context);
  ASSERT_TRUE(first->Write(TextRequest("docs", "a", "text")));
  v1::IngestResponse response;
  ASSERT_TRUE(first->Read(&response));
  {
    grpc::ClientContext context;
    auto second = service.documents().Ingest(&context);
    EXPECT_FALSE(second->Read(&response));
    const grpc::Status status = second->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    google::rpc::RetryInfo retry;
    EXPECT_TRUE(GetDetail(status, &retry));
  }
  first->WritesDone();
  EXPECT_FALSE(first->Read(&response));
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_GT(service.Put("docs", "b", "text"), 0u);
}

TEST(Ingest, CancelledStreamFreesItsPlace) {
  TestOptions options;
  options.limits.max_concurrent_ingest_streams = 1;
  TestService service(options);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto stream = service.documents().Ingest(&context);
    ASSERT_TRUE(stream->Write(TextRequest("docs", absl::StrCat(i), "text")));
    v1::IngestResponse response;
    ASSERT_TRUE(stream->Read(&response)) << i;
    context.TryCancel();
    const absl::Time cancelled = absl::Now();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
    // The next stream finds the place free within 100 ms.
    while (true) {
      grpc::ClientContext probe;
      auto next = service.documents().Ingest(&probe);
      next->WritesDone();
      if (next->Finish().ok()) break;
      ASSERT_LT(absl::Now() - cancelled, absl::Milliseconds(100));
    }
  }
}

}  // namespace
}  // namespace braid::services
