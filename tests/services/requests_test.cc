// The unary calls over gRPC, and errors as clients see them.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename Response, typename Request, typename Method>
grpc::Status Invoke(Method method, const Request& request, Response* response,
                    absl::Duration timeout = absl::Seconds(20)) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  return method(&context, request, response);
}
#define BRAID_CALL(stub, name) \
  [&](auto* c, const auto& q, auto* r) { return (stub).name(c, q, r); }

class RequestsTest : public ::testing::Test {
 protected:
  grpc::Status Search(const v1::SearchRequest& request,
                      v1::SearchResponse* response) {
    return Invoke(BRAID_CALL(service_.retrieval(), Search), request, response);
  }
  std::string ReasonOf(const grpc::Status& status) {
    google::rpc::ErrorInfo info;
    EXPECT_TRUE(GetDetail(status, &info));
    EXPECT_EQ(info.domain(), "braid");
    return info.reason();
  }
  TestService service_;
};

TEST_F(RequestsTest, CollectionsLiveAndDie) {
  v1::CreateCollectionRequest create;
  create.set_collection_id("docs");
  create.mutable_chunking()->set_max_tokens(50);
  v1::CreateCollectionResponse created;
  auto create_call = BRAID_CALL(service_.collections(), CreateCollection);
  ASSERT_TRUE(Invoke(create_call, create, &created).ok());
  EXPECT_EQ(created.collection().name(), "collections/docs");
  EXPECT_EQ(created.collection().language(), "en");
  EXPECT_EQ(created.collection().chunking().max_tokens(), 50u);
  EXPECT_EQ(created.collection().encoder(), "fake-encoder-64");
  EXPECT_EQ(created.collection().dimension(), 64u);
  EXPECT_GT(created.collection().create_time().seconds(), 1'600'000'000);

  const grpc::Status again = Invoke(create_call, create, &created);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(again), "COLLECTION_ALREADY_EXISTS");

  v1::DeleteCollectionRequest remove;
  remove.set_name("collections/docs");
  v1::DeleteCollectionResponse removed;
  auto remove_call = BRAID_CALL(service_.collections(), DeleteCollection);
  EXPECT_TRUE(Invoke(remove_call, remove, &removed).ok());
  EXPECT_EQ(ReasonOf(Invoke(remove_call, remove, &removed)),
            "COLLECTION_NOT_FOUND");
}

TEST_F(RequestsTest, UnknownLanguageNamesTheField) {
  v1::CreateCollectionRequest create;
  create.set_collection_id("docs");
  create.set_language("xx");
  v1::CreateCollectionResponse created;
  const grpc::Status status = Invoke(
      BRAID_CALL(service_.collections(), CreateCollection), create, &created);
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(GetDetail(status, &bad_request)) << status.error_message();
  EXPECT_EQ(bad_request.field_violations(0).field(), "language");
}

TEST_F(RequestsTest, CollectionsAreListedInPages) {
  for (const char* id : {"b", "a", "d", "c", "e"})
    service_.Put(id, "x", "text");
  v1::ListCollectionsRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  int pages = 0;
  do {
    v1::ListCollectionsResponse response;
    ASSERT_TRUE(Invoke(BRAID_CALL(service_.collections(), ListCollections),
                       request, &response)
                    .ok());
    for (const auto& c : response.collections()) {
      names.push_back(c.name());
      EXPECT_EQ(c.document_count(), 1u);
    }
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(names,
              ElementsAre("collections/a", "collections/b", "collections/c",
                          "collections/d", "collections/e"));
}

TEST_F(RequestsTest, DocumentsAreListedInPagesThroughAFilter) {
  std::vector<v1::IngestRequest> requests;
  for (int i = 0; i < 20; ++i) {
    v1::IngestRequest request = TextRequest(
        "docs", "doc-" + std::to_string(10 + i), "text " + std::to_string(i));
    auto& fields =
        *request.mutable_document()->mutable_metadata()->mutable_fields();
    fields["even"].set_bool_value(i % 2 == 0);
    requests.push_back(request);
  }
  service_.Ingest(requests);
  v1::ListDocumentsRequest request;
  request.set_parent("collections/docs");
  request.set_page_size(3);
  request.set_filter("even = true");
  std::vector<std::string> ids;
  do {
    v1::ListDocumentsResponse response;
    const grpc::Status status = Invoke(
        BRAID_CALL(service_.documents(), ListDocuments), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_LE(response.documents_size(), 3);
    for (const auto& d : response.documents()) {
      ids.push_back(d.document_id());
      EXPECT_THAT(d.text(), IsEmpty());
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids,
              ElementsAre("doc-10", "doc-12", "doc-14", "doc-16", "doc-18",
                          "doc-20", "doc-22", "doc-24", "doc-26", "doc-28"));
}

TEST_F(RequestsTest, ReplacedDocumentsAreFoundByTheirNewTextOnly) {
  service_.Put("docs", "a/b", "the zebra crosses the river");
  const uint64_t sequence =
      service_.Put("docs", "a/b", "the giraffe crosses the desert");
  v1::SearchRequest search;
  search.set_collection("collections/docs");
  search.set_query("zebra");
  search.add_legs(v1::LEG_BM25);
  search.set_wait_for_sequence(sequence);
  v1::SearchResponse found;
  ASSERT_TRUE(Search(search, &found).ok());
  EXPECT_EQ(found.passages_size(), 0);
  EXPECT_GE(found.sequence(), sequence);
  search.set_query("giraffe");
  found.Clear();
  ASSERT_TRUE(Search(search, &found).ok());
  ASSERT_EQ(found.passages_size(), 1);
  EXPECT_EQ(found.passages(0).chunk().version(), 2u);
  EXPECT_EQ(found.passages(0).text(), "the giraffe crosses the desert");

  v1::GetDocumentRequest get;
  get.set_name("collections/docs/documents/a/b");
  get.set_include_chunks(true);
  v1::GetDocumentResponse got;
  ASSERT_TRUE(
      Invoke(BRAID_CALL(service_.documents(), GetDocument), get, &got).ok());
  EXPECT_EQ(got.document().version(), 2u);
  EXPECT_EQ(got.document().text(), "the giraffe crosses the desert");
  EXPECT_EQ(got.chunks_size(), 1);

  v1::DeleteDocumentRequest remove;
  remove.set_name(get.name());
  v1::DeleteDocumentResponse removed;
  auto remove_call = BRAID_CALL(service_.documents(), DeleteDocument);
  ASSERT_TRUE(Invoke(remove_call, remove, &removed).ok());
  EXPECT_GT(removed.sequence(), sequence);
  EXPECT_EQ(ReasonOf(Invoke(remove_call, remove, &removed)),
            "DOCUMENT_NOT_FOUND");
  remove.set_allow_missing(true);
  removed.Clear();
  EXPECT_TRUE(Invoke(remove_call, remove, &removed).ok());
  EXPECT_EQ(removed.sequence(), 0u);
  EXPECT_EQ(ReasonOf(Invoke(BRAID_CALL(service_.documents(), GetDocument), get,
                            &got)),
            "DOCUMENT_NOT_FOUND");
}

TEST_F(RequestsTest, SearchExplainsItself) {
  service_.Put("docs", "a", "alpha beta gamma");
  const uint64_t sequence = service_.Put("docs", "b", "delta epsilon zeta");
  v1::SearchRequest request;
  request.set_collection("collections/docs");
  request.set_query("alpha beta");
  request.set_explain(true);
  request.set_wait_for_sequence(sequence);
  request.mutable_fusion()->set_method(v1::FUSION_METHOD_RRF);
  v1::SearchResponse response;
  ASSERT_TRUE(Search(request, &response).ok());
  ASSERT_GE(response.passages_size(), 1);
  const v1::Passage& best = response.passages(0);
  EXPECT_EQ(best.chunk().document(), "collections/docs/documents/a");
  EXPECT_EQ(best.rank(), 1u);
  ASSERT_EQ(best.leg_scores_size(), 2);
  EXPECT_EQ(best.leg_scores(0).leg(), v1::LEG_BM25);
  EXPECT_EQ(best.leg_scores(0).rank(), 1u);
  EXPECT_NEAR(best.leg_scores(0).contribution(), 1.0 / 61, 1e-12);
  EXPECT_NEAR(best.explanation().fused_score(), 2.0 / 61, 1e-12);
  std::vector<std::string> stages;
  for (const auto& stage : response.stages()) stages.push_back(stage.stage());
  EXPECT_THAT(stages,
              ElementsAre("embed", "bm25", "dense", "fuse", "fetch", "merge"));
}

TEST_F(RequestsTest, BadRequestsNameTheirFields) {
  v1::SearchRequest request;
  request.set_collection("collections/docs");
  request.set_top_k(-5);
  v1::SearchResponse response;
  const grpc::Status status = Search(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(GetDetail(status, &bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(0).field(), "query");
  EXPECT_EQ(bad_request.field_violations(1).field(), "top_k");
}

TEST_F(RequestsTest, MissingCollectionHasItsReason) {
  v1::SearchRequest request;
  request.set_collection("collections/nowhere");
  request.set_query("x");
  v1::SearchResponse response;
  const grpc::Status status = Search(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "COLLECTION_NOT_FOUND");
}

TEST_F(RequestsTest, SequenceThatWasNeverWrittenIsRefusedAtOnce) {
  service_.Put("docs", "a", "alpha");
  v1::SearchRequest request;
  request.set_collection("collections/docs");
  request.set_query("x");
  request.set_wait_for_sequence(UINT64_MAX);
  v1::SearchResponse response;
  const absl::Time start = absl::Now();
  const grpc::Status status = Search(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("wait_for_sequence"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
}

TEST_F(RequestsTest, AdminTellsWhatRuns) {
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(Invoke(BRAID_CALL(service_.admin(), GetServerInfo),
                     v1::GetServerInfoRequest(), &info)
                  .ok());
  EXPECT_EQ(info.encoder(), "fake-encoder-64");
  EXPECT_FALSE(info.version().empty());
  EXPECT_FALSE(info.kernel_target().empty());
  EXPECT_GT(info.resident_bytes(), 1u << 20);

  service_.Put("docs", "a", "alpha");
  v1::CheckConsistencyRequest check;
  check.set_collection("collections/docs");
  v1::CheckConsistencyResponse report;
  ASSERT_TRUE(
      Invoke(BRAID_CALL(service_.admin(), CheckConsistency), check, &report)
          .ok());
  EXPECT_TRUE(report.consistent());
  EXPECT_EQ(report.store_chunks(), 1u);
  EXPECT_EQ(report.bm25_chunks(), 1u);
  EXPECT_EQ(report.dense_chunks(), 1u);
}

TEST_F(RequestsTest, GenerateWithoutAModel) {
  grpc::ClientContext context;
  v1::GenerateRequest request;
  request.set_prompt("Once upon a time");
  auto stream = service_.generation().Generate(&context, request);
  v1::GenerateResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "NO_MODEL");
}

TEST_F(RequestsTest, RequestIdComesBack) {
  for (const auto& [sent, kept] :
       {std::pair("id-1.x", true), std::pair("", false),
        std::pair("has space", false)}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", sent);
    v1::GetServerInfoResponse info;
    ASSERT_TRUE(service_.admin()
                    .GetServerInfo(&context, v1::GetServerInfoRequest(), &info)
                    .ok());
    const auto& metadata = context.GetServerInitialMetadata();
    const auto id = metadata.find("x-request-id");
    ASSERT_NE(id, metadata.end());
    const std::string value(id->second.data(), id->second.size());
    EXPECT_EQ(value == sent, kept);
    EXPECT_FALSE(value.empty());
  }
}

TEST_F(RequestsTest, HugeMessagesAreRefused) {
  v1::SearchRequest request;
  request.set_collection("collections/docs");
  request.set_query(std::string(41 << 20, 'x'));
  v1::SearchResponse response;
  EXPECT_EQ(Search(request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// Bar 7: what is cited is what is stored.
TEST_F(RequestsTest, CitationsEqualTheStoredBytes) {
  service_.Put("docs", "physics/water",
               "Water is wet. Water boils at 100 degrees Celsius at sea level. "
               "Größe und Maß: naïve café. Ice floats on water.");
  const uint64_t sequence =
      service_.Put("docs", "metals",
                   "Iron melts at 1538 degrees. Lead melts at 327 degrees.");
  int citations = 0;
  for (const char* question :
       {"At how many degrees does water boil?", "When does lead melt?",
        "Does ice float on water?"}) {
    grpc::ClientContext context;
    v1::AnswerRequest request;
    request.set_collection("collections/docs");
    request.set_question(question);
    request.set_wait_for_sequence(sequence);
    auto stream = service_.answers().Answer(&context, request);
    v1::AnswerResponse event;
    std::string answer;
    bool retrieved = false;
    v1::AnswerResponse last;
    while (stream->Read(&event)) {
      last = event;
      retrieved = retrieved || event.has_retrieved();
      answer += event.delta();
      if (!event.has_citation()) continue;
      ++citations;
      const v1::Citation& citation = event.citation();
      v1::GetDocumentRequest get;
      get.set_name(citation.document());
      v1::GetDocumentResponse got;
      ASSERT_TRUE(
          Invoke(BRAID_CALL(service_.documents(), GetDocument), get, &got)
              .ok());
      EXPECT_EQ(got.document().version(), citation.version());
      EXPECT_EQ(got.document().text().substr(citation.text_range().begin(),
                                             citation.text_range().end() -
                                                 citation.text_range().begin()),
                citation.quote());
      EXPECT_LE(citation.answer_range().end(), answer.size());
    }
    ASSERT_TRUE(stream->Finish().ok());
    EXPECT_TRUE(retrieved);
    EXPECT_TRUE(last.has_final());
    EXPECT_EQ(last.final().rejected_citations(), 0u);
  }
  EXPECT_GT(citations, 0);
}

}  // namespace
}  // namespace braid::services
