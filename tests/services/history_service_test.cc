// What documents were, read over gRPC: by version and by sequence.
#include <atomic>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HistoryServiceTest : public ::testing::Test {
 protected:
  grpc::Status Get(const v1::GetDocumentRequest& request,
                   v1::Document* document) {
    grpc::ClientContext context;
    v1::GetDocumentResponse response;
    const grpc::Status status =
        service_.documents().GetDocument(&context, request, &response);
    *document = response.document();
    return status;
  }
  grpc::Status GetAt(const std::string& id, uint64_t sequence,
                     v1::Document* document) {
    v1::GetDocumentRequest request;
    request.set_name("collections/docs/documents/" + id);
    request.set_as_of_sequence(sequence);
    return Get(request, document);
  }
  // The ids and versions; many pages.
  std::vector<std::string> ListAt(uint64_t sequence,
                                  const std::string& filter = "") {
    std::vector<std::string> found;
    v1::ListDocumentsRequest request;
    request.set_parent("collections/docs");
    request.set_page_size(2);
    request.set_filter(filter);
    request.set_as_of_sequence(sequence);
    do {
      grpc::ClientContext context;
      v1::ListDocumentsResponse response;
      const grpc::Status status =
          service_.documents().ListDocuments(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      for (const v1::Document& document : response.documents()) {
        found.push_back(
            absl::StrCat(document.document_id(), document.version()));
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return found;
  }
  uint64_t Delete(const std::string& id) {
    grpc::ClientContext context;
    v1::DeleteDocumentRequest request;
    request.set_name("collections/docs/documents/" + id);
    v1::DeleteDocumentResponse response;
    EXPECT_TRUE(
        service_.documents().DeleteDocument(&context, request, &response).ok());
    return response.sequence();
  }

  // The store's own thread reads it, too.
  std::atomic<int64_t> seconds_ = 1700000000;
  TestService service_{
      {.clock = [this] { return absl::FromUnixSeconds(seconds_); }}};
};

TEST_F(HistoryServiceTest, ACitationCanBeReadWhenItsDocumentIsGone) {
  const uint64_t sequence = service_.Put(
      "docs", "ferry", "The ferry leaves at nine. It returns at noon.");
  v1::AnswerRequest question;
  question.set_collection("collections/docs");
  question.set_question("When does the ferry leave?");
  question.set_wait_for_sequence(sequence);
  grpc::ClientContext context;
  const auto answer = service_.answers().Answer(&context, question);
  v1::AnswerResponse event;
  v1::Citation citation;
  while (answer->Read(&event)) {
    if (event.has_citation()) citation = event.citation();
  }
  ASSERT_TRUE(answer->Finish().ok());
  ASSERT_THAT(citation.quote(), HasSubstr("ferry"));
  service_.Put("docs", "ferry", "There is no ferry any more.");
  for (const bool deleted : {false, true}) {
    if (deleted) Delete("ferry");
    v1::GetDocumentRequest request;
    request.set_name(citation.document());
    request.set_version(citation.version());
    v1::Document document;
    const grpc::Status status = Get(request, &document);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(document.version(), citation.version());
    const v1::ByteRange& range = citation.text_range();
    EXPECT_EQ(
        document.text().substr(range.begin(), range.end() - range.begin()),
        citation.quote());
  }
}

TEST_F(HistoryServiceTest, ListsWhatWasThere) {
  for (const char* id : {"a", "b", "c", "d"}) service_.Put("docs", id, "one");
  const uint64_t first = service_.Put("docs", "e", "one");
  const uint64_t second = service_.Put("docs", "b", "two");
  const uint64_t third = Delete("c");
  v1::PatchDocumentRequest patch;
  patch.set_name("collections/docs/documents/d");
  (*patch.mutable_metadata()->mutable_fields())["state"].set_string_value("x");
  v1::PatchDocumentResponse patched;
  grpc::ClientContext context;
  ASSERT_TRUE(
      service_.documents().PatchDocument(&context, patch, &patched).ok());
  EXPECT_THAT(ListAt(0), ElementsAre("a1", "b2", "d1", "e1"));
  EXPECT_THAT(ListAt(1), ElementsAre("a1"));
  EXPECT_THAT(ListAt(first), ElementsAre("a1", "b1", "c1", "d1", "e1"));
  EXPECT_THAT(ListAt(second), ElementsAre("a1", "b2", "c1", "d1", "e1"));
  EXPECT_THAT(ListAt(third), ElementsAre("a1", "b2", "d1", "e1"));
  // A filter sees the metadata of then.
  EXPECT_THAT(ListAt(third, "state = \"x\""), IsEmpty());
  EXPECT_THAT(ListAt(patched.sequence(), "state = \"x\""), ElementsAre("d1"));

  v1::Document document;
  EXPECT_TRUE(GetAt("c", second, &document).ok());
  EXPECT_EQ(document.text(), "one");
  EXPECT_EQ(GetAt("c", third, &document).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(HistoryServiceTest, WhatIsNotKeptIsSaidToBeSo) {
  const uint64_t first = service_.Put("docs", "a", "one");
  const uint64_t second = service_.Put("docs", "a", "two");
  seconds_ += 25 * 3600;  // more than the default retention
  ASSERT_TRUE(service_.runtime().backend().store()->TrimHistory({}).ok());
  v1::Document document;
  grpc::Status status = GetAt("a", first, &document);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat(second)));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(status, &info));
  EXPECT_EQ(info.reason(), "SEQUENCE_OUT_OF_RANGE");
  v1::GetDocumentRequest request;
  request.set_name("collections/docs/documents/a");
  request.set_version(1);
  EXPECT_EQ(Get(request, &document).error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  request.set_version(3);
  EXPECT_EQ(Get(request, &document).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(GetAt("a", second, &document).ok());
  EXPECT_EQ(document.text(), "two");
  // One that no write has been given: nothing to wait for.
  EXPECT_EQ(GetAt("a", second + 1, &document).error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  grpc::ClientContext context;
  v1::GetCollectionRequest collection;
  collection.set_name("collections/docs");
  v1::GetCollectionResponse response;
  ASSERT_TRUE(service_.collections()
                  .GetCollection(&context, collection, &response)
                  .ok());
  EXPECT_EQ(response.collection().oldest_sequence(), second);
}

TEST_F(HistoryServiceTest, RefusesWhatDoesNotGoTogether) {
  const uint64_t sequence = service_.Put("docs", "a", "one");
  service_.Put("docs", "b", "one");
  v1::GetDocumentRequest request;
  request.set_name("collections/docs/documents/a");
  request.set_version(1);
  request.set_as_of_sequence(sequence);
  request.set_include_chunks(true);
  v1::Document document;
  const grpc::Status status = Get(request, &document);
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(GetDetail(status, &bad_request));
  EXPECT_EQ(bad_request.field_violations_size(), 2);
  // A page token is of one moment.
  v1::ListDocumentsRequest list;
  list.set_parent("collections/docs");
  list.set_page_size(1);
  list.set_as_of_sequence(sequence + 1);
  v1::ListDocumentsResponse page;
  grpc::ClientContext first;
  ASSERT_TRUE(service_.documents().ListDocuments(&first, list, &page).ok());
  list.set_page_token(page.next_page_token());
  list.set_as_of_sequence(0);
  grpc::ClientContext second;
  EXPECT_EQ(
      service_.documents().ListDocuments(&second, list, &page).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace braid::services
