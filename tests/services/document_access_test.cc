// Readers of single documents: what each call shows of them, keeps and refuses.
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "document_access_fixture.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// More documents than are read at once: between two pages lie many that the
// caller may not see, and none of them is named.
TEST_F(DocumentAccessTest, LongListsArePagedByWhatIsVisible) {
  constexpr int kMany = 600;
  grpc::ClientContext context;
  Show(&context, "writer");
  auto stream = service_->documents().Ingest(&context);
  Names few;
  Names many;
  uint64_t last = 0;
  for (int i = 0; i < kMany; ++i) {
    v1::IngestRequest request = Request(Id(i), {});
    if (i % 170 == 100) {
      request.add_readers("key:r0");
      few.insert(Id(i));
    }
    if (i % 2 == 0) {
      request.add_readers(i % 3 == 0 ? "key:r1" : "group:g1");
      if (i % 3 == 0 || i % 5 == 0) request.add_readers("key:r1");
      many.insert(Id(i));
    }
    ASSERT_TRUE(stream->Write(request));
    v1::IngestResponse response;
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_FALSE(response.has_error()) << response.DebugString();
    last = response.sequence();
  }
  stream->WritesDone();
  ASSERT_TRUE(stream->Finish().ok());
  ASSERT_TRUE(callers_.at("r1").names.contains("group:g1"));
  ASSERT_EQ(few.size(), 3u);
  const auto list = [&](const std::string& caller, uint64_t as_of, int size,
                        const Names& visible) {
    Names found;
    v1::ListDocumentsRequest request;
    request.set_parent("collections/c");
    request.set_page_size(size);
    request.set_as_of_sequence(as_of);
    do {
      grpc::ClientContext listing;
      Show(&listing, caller);
      v1::ListDocumentsResponse response;
      EXPECT_TRUE(service_->documents()
                      .ListDocuments(&listing, request, &response)
                      .ok());
      for (const v1::Document& document : response.documents()) {
        EXPECT_TRUE(found.insert(document.document_id()).second);
      }
      std::string token;
      EXPECT_TRUE(
          absl::WebSafeBase64Unescape(response.next_page_token(), &token));
      if (!token.empty()) {
        const std::string named = token.substr(token.size() - Id(0).size());
        EXPECT_TRUE(visible.contains(named)) << named;
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty() && !HasFailure());
    return found;
  };
  for (const uint64_t as_of : {uint64_t{0}, last}) {
    EXPECT_EQ(list("r0", as_of, 1, few), few);
    EXPECT_EQ(list("r0", as_of, 1000, few), few);
    EXPECT_EQ(list("r1", as_of, 50, many), many);
    EXPECT_EQ(list("r1", as_of, 1000, many), many);
    EXPECT_THAT(list("r2", as_of, 10, {}), IsEmpty());
  }
}

TEST_F(DocumentAccessTest, WritersSeeEverythingAndTheReaders) {
  Put(Id(0), {"key:r1", "group:g2"});
  Put(Id(1), {});
  grpc::ClientContext context;
  Show(&context, "writer");
  v1::ListDocumentsRequest request;
  request.set_parent("collections/c");
  v1::ListDocumentsResponse response;
  ASSERT_TRUE(
      service_->documents().ListDocuments(&context, request, &response).ok());
  ASSERT_EQ(response.documents_size(), 2);
  EXPECT_THAT(response.documents(0).readers(),
              ElementsAre("group:g2", "key:r1"));
  EXPECT_THAT(response.documents(1).readers(), IsEmpty());
  grpc::ClientContext again;
  Show(&again, "writer");
  v1::GetCollectionRequest get;
  get.set_name("collections/c");
  v1::GetCollectionResponse got;
  ASSERT_TRUE(service_->collections().GetCollection(&again, get, &got).ok());
  EXPECT_EQ(got.collection().document_count(), 2u);
}

// A right that was taken away does not come back with the past, with a version,
// or with the deletion of the document.
TEST_F(DocumentAccessTest, TheDeletedKeepTheirLastReaders) {
  Put(Id(0), {"key:r0"});
  const uint64_t before = last_;
  const auto get = [&](const std::string& caller, uint64_t as_of,
                       uint64_t version) {
    grpc::ClientContext context;
    Show(&context, caller);
    v1::GetDocumentRequest request;
    request.set_name(Name(Id(0)));
    request.set_as_of_sequence(as_of);
    request.set_version(version);
    v1::GetDocumentResponse response;
    return service_->documents()
        .GetDocument(&context, request, &response)
        .error_code();
  };
  EXPECT_EQ(get("r0", before, 0), grpc::StatusCode::OK);
  EXPECT_EQ(get("r0", 0, 1), grpc::StatusCode::OK);
  Patch(Id(0), {"key:r1"});
  const uint64_t patched = last_;
  for (int deleted = 0; deleted < 2; ++deleted) {
    EXPECT_EQ(get("r0", before, 0), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(get("r0", patched, 0), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(get("r0", 0, 1), grpc::StatusCode::NOT_FOUND);
    // It names r1 now, but did not then.
    EXPECT_EQ(get("r1", before, 0), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(get("r1", patched, 0), grpc::StatusCode::OK);
    EXPECT_EQ(get("r1", 0, 1), grpc::StatusCode::OK);
    EXPECT_EQ(get("writer", before, 0), grpc::StatusCode::OK);
    if (deleted == 0) Delete(Id(0));
  }
}

// That a version is no longer kept says that there was one.
TEST_F(DocumentAccessTest, ForgottenVersionsOfOthersNeverWere) {
  Put(Id(0), {"key:r1"});
  const uint64_t first = last_;
  Put(Id(0), {"key:r1"});
  hours_ = 25;
  ASSERT_TRUE(service_->runtime().backend().store()->TrimHistory({}).ok());
  const auto get = [&](const std::string& caller, const std::string& id,
                       uint64_t version, uint64_t as_of) {
    grpc::ClientContext context;
    Show(&context, caller);
    v1::GetDocumentRequest request;
    request.set_name(Name(id));
    request.set_version(version);
    request.set_as_of_sequence(as_of);
    v1::GetDocumentResponse response;
    const grpc::Status status =
        service_->documents().GetDocument(&context, request, &response);
    return absl::StrCat(
        status.error_code(), " ",
        absl::StrReplaceAll(status.error_message() + status.error_details(),
                            {{id, Missing()}}));
  };
  for (const uint64_t version : {1, 2, 3}) {
    EXPECT_EQ(get("r0", Id(0), version, 0), get("r0", Missing(), version, 0));
  }
  // Too old for any document.
  EXPECT_EQ(get("r0", Id(0), 0, first), get("r0", Missing(), 0, first));
  EXPECT_THAT(get("r0", Id(0), 0, first), HasSubstr("no longer kept"));
  EXPECT_THAT(get("writer", Id(0), 1, 0), HasSubstr("no longer kept"));
}

TEST_F(DocumentAccessTest, ReadersThatProtectNothingAreRefused) {
  ASSERT_TRUE(Create("open", false).ok());
  v1::IngestRequest request = Request(Id(0), {"key:r0"});
  request.set_collection("collections/open");
  EXPECT_EQ(Ingest(request).error().code(),
            static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(Ingest(request).error().message(), HasSubstr("document access"));
  // Nor is a collection made that would have to be deleted to be protected.
  request.set_collection("collections/new");
  EXPECT_EQ(Ingest(request).error().code(),
            static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  grpc::ClientContext context;
  Show(&context, "root");
  v1::GetCollectionRequest get;
  get.set_name("collections/new");
  v1::GetCollectionResponse got;
  EXPECT_EQ(
      service_->collections().GetCollection(&context, get, &got).error_code(),
      grpc::StatusCode::NOT_FOUND);

  request.clear_readers();
  request.set_collection("collections/open");
  ASSERT_FALSE(Ingest(request).has_error());
  v1::PatchDocumentRequest patch;
  patch.set_name(Name(Id(0), "open"));
  patch.mutable_readers();
  grpc::ClientContext patching;
  Show(&patching, "writer");
  v1::PatchDocumentResponse patched;
  const grpc::Status status =
      service_->documents().PatchDocument(&patching, patch, &patched);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_details(), HasSubstr("readers"));
}

TEST_F(DocumentAccessTest, NamesOfReadersAreChecked) {
  const auto field = [this](const std::vector<std::string>& readers) {
    v1::IngestRequest request = Request(Id(0), {});
    request.mutable_readers()->Assign(readers.begin(), readers.end());
    const v1::IngestResponse response = Ingest(request);
    google::rpc::BadRequest bad;
    return GetDetail(response.error(), &bad) ? bad.field_violations(0).field()
                                             : "";
  };
  for (const std::string good :
       {"*", "anonymous", "key:a b", "group:*", "jwt:x",
        "certificate:spiffe://prod/crawler"}) {
    EXPECT_EQ(field({good}), "") << good;
  }
  for (const std::string bad : {"", "staff", "gruop:staff", "group:",
                                "Group:staff", "**", "key:a\nb", "local"}) {
    EXPECT_EQ(field({"*", bad}), "readers[1]") << bad;
  }
  const Limits limits;
  EXPECT_EQ(field({"key:" + std::string(limits.max_reader_bytes - 4, 'a')}),
            "");
  EXPECT_EQ(field({"key:" + std::string(limits.max_reader_bytes - 3, 'a')}),
            "readers[0]");
  EXPECT_EQ(field(std::vector<std::string>(limits.max_readers, "*")), "");
  EXPECT_EQ(field(std::vector<std::string>(limits.max_readers + 1, "*")),
            "readers");
}

// A file that comes again as it was is not read again, unless its list says
// otherwise: the list that was given last is the one in force.
TEST_F(DocumentAccessTest, TheListThatWasGivenLastIsInForce) {
  v1::IngestRequest request;
  request.set_collection("collections/c");
  request.mutable_source()->set_document_id(Id(0));
  request.mutable_source()->set_content("# House\n\nSome common words.\n");
  const auto ingest = [&](const std::vector<std::string>& readers) {
    request.mutable_readers()->Assign(readers.begin(), readers.end());
    return Ingest(request).outcome();
  };
  EXPECT_EQ(ingest({"key:r0", "key:r1"}), v1::IngestResponse::OUTCOME_CREATED);
  EXPECT_EQ(ingest({"key:r1", "key:r0"}),
            v1::IngestResponse::OUTCOME_UNCHANGED);
  Patch(Id(0), {"*", "key:r0", "key:r1"});
  EXPECT_EQ(ingest({"key:r0", "key:r1"}), v1::IngestResponse::OUTCOME_REPLACED);
  EXPECT_EQ(ingest({}), v1::IngestResponse::OUTCOME_REPLACED);
}

// How much has been written tells of documents that a reader may not see.
TEST_F(DocumentAccessTest, ReadersDoNotSeeTheOperationsOfOthers) {
  ASSERT_TRUE(Create("open", false).ok());
  Put(Id(0), {});
  v1::IngestRequest open = Request(Id(0), {});
  open.set_collection("collections/open");
  ASSERT_FALSE(Ingest(open).has_error());
  const auto collections = [this](const std::string& caller) {
    grpc::ClientContext context;
    Show(&context, caller);
    v1::ListOperationsResponse response;
    EXPECT_TRUE(
        service_->operations().ListOperations(&context, {}, &response).ok());
    Names names;
    for (const v1::Operation& operation : response.operations()) {
      names.insert(operation.collection());
    }
    return names;
  };
  EXPECT_THAT(collections("writer"),
              ElementsAre("collections/c", "collections/open"));
  EXPECT_THAT(collections("r0"), ElementsAre("collections/open"));
}

}  // namespace
}  // namespace braid::services
