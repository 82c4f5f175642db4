// Patches, deletes by filter, checks, and how soon and how whole a write is
// seen.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::HasSubstr;

class UpdatesTest : public ::testing::Test {
 protected:
  uint64_t PutNumber(const std::string& id, double number) {
    // Texts that share little: near-duplicates are shown once.
    std::string text = "harbour report";
    for (int i = 0; i < 12; ++i) absl::StrAppend(&text, " ", id, "word", i);
    v1::IngestRequest request = TextRequest("c", id, text);
    auto& fields =
        *request.mutable_document()->mutable_metadata()->mutable_fields();
    fields["number"].set_number_value(number);
    fields["kind"].set_string_value("report");
    const auto responses = service_.Ingest({request});
    EXPECT_EQ(responses.size(), 1u);
    EXPECT_EQ(responses[0].error().code(), 0) << responses[0].error().message();
    return responses[0].sequence();
  }

  grpc::Status Patch(const v1::PatchDocumentRequest& request,
                     v1::PatchDocumentResponse* response) {
    grpc::ClientContext context;
    return service_.documents().PatchDocument(&context, request, response);
  }

  // Hits of both legs that the filter lets through.
  int Count(const std::string& filter, uint64_t sequence) {
    v1::SearchRequest request;
    request.set_collection("collections/c");
    request.set_query("harbour report");
    request.set_filter(filter);
    request.set_top_k(1000);
    request.set_wait_for_sequence(sequence);
    v1::SearchResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        service_.retrieval().Search(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.passages_size();
  }

  TestService service_;
};

TEST_F(UpdatesTest, APatchChangesMetadataAndNothingElse) {
  PutNumber("a", 1);
  const uint64_t written = PutNumber("b", 2);
  EXPECT_EQ(Count("number = 7", written), 0);
  v1::PatchDocumentRequest request;
  request.set_name("collections/c/documents/a");
  auto& fields = *request.mutable_metadata()->mutable_fields();
  fields["number"].set_number_value(7);
  fields["kind"].set_null_value(google::protobuf::NULL_VALUE);
  fields["new"].set_string_value("yes");
  v1::PatchDocumentResponse response;
  grpc::Status status = Patch(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(response.sequence(), written);
  EXPECT_EQ(response.document().version(), 1u);
  const auto& patched = response.document().metadata().fields();
  EXPECT_EQ(patched.at("number").number_value(), 7);
  EXPECT_EQ(patched.at("new").string_value(), "yes");
  EXPECT_FALSE(patched.contains("kind"));
  EXPECT_EQ(Count("number = 7", response.sequence()), 1);
  EXPECT_EQ(Count("number = 1", response.sequence()), 0);
  EXPECT_EQ(Count("kind = \"report\"", response.sequence()), 1);
  // The same again changes nothing, and its sequence is seen already.
  const uint64_t before = response.sequence();
  ASSERT_TRUE(Patch(request, &response).ok());
  EXPECT_EQ(response.sequence(), before);

  request.set_name("collections/c/documents/missing");
  EXPECT_EQ(Patch(request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.set_name("collections/c/documents/a");
  fields["deep"].mutable_struct_value();
  status = Patch(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_metadata()->clear_fields();
  EXPECT_EQ(Patch(request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  for (int i = 0; i < 256; ++i) {
    fields[absl::StrCat("k", i)].set_bool_value(true);
  }
  EXPECT_EQ(Patch(request, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(UpdatesTest, DeletesWhatAFilterMatches) {
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) last = PutNumber(absl::StrCat("d", i), i);
  v1::DeleteDocumentsRequest request;
  request.set_parent("collections/c");
  request.set_filter("number >= 15");
  request.set_validate_only(true);
  v1::DeleteDocumentsResponse response;
  const auto call = [&] {
    grpc::ClientContext context;
    response.Clear();
    return service_.documents().DeleteDocuments(&context, request, &response);
  };
  ASSERT_TRUE(call().ok());
  EXPECT_EQ(response.deleted_count(), 5u);
  EXPECT_EQ(response.sequence(), 0u);
  EXPECT_EQ(Count("", last), 20);
  request.set_validate_only(false);
  ASSERT_TRUE(call().ok());
  EXPECT_EQ(response.deleted_count(), 5u);
  EXPECT_EQ(response.sequence(), last + 5);
  EXPECT_EQ(response.next_page_token(), "");
  EXPECT_EQ(Count("", response.sequence()), 15);
  ASSERT_TRUE(call().ok());
  EXPECT_EQ(response.deleted_count(), 0u);
  // Nothing is deleted by leaving a field out.
  for (const char* filter : {"", " ", "number >"}) {
    request.set_filter(filter);
    EXPECT_EQ(call().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(Count("", last + 5), 15);
}

TEST_F(UpdatesTest, VerifyFindsNothingWrongWhileWritesGoOn) {
  PutNumber("first", 0);
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      PutNumber(absl::StrCat("d", i % 20), i);
    }
  });
  for (int i = 0; i < 5; ++i) {
    v1::VerifyRequest request;
    request.set_repair(true);
    v1::VerifyResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        service_.admin().Verify(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(response.whole()) << response.DebugString();
    EXPECT_EQ(response.collections_size(), 1);
    EXPECT_GT(response.store().documents(), 0u);
  }
}

// Every version of the document has one chunk that names it, in its text: a
// search that saw half of a replacement would find none, two, or an old text
// under a new version.
TEST_F(UpdatesTest, ASearchNeverSeesHalfOfAReplacement) {
  const auto put = [this](int number) {
    return service_.Put("c", "only", absl::StrCat("harbour number", number));
  };
  const uint64_t first = put(1);
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 2; !stop.stop_requested(); ++i) put(i);
  });
  uint64_t searches = 0;
  uint64_t newest = 0;
  const absl::Time end = absl::Now() + absl::Seconds(2);
  while (absl::Now() < end) {
    v1::SearchRequest request;
    request.set_collection("collections/c");
    request.set_query("harbour");
    request.set_wait_for_sequence(first);
    v1::SearchResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        service_.retrieval().Search(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.passages_size(), 1) << response.DebugString();
    const v1::Passage& passage = response.passages(0);
    ASSERT_THAT(passage.text(),
                HasSubstr(absl::StrCat("number", passage.chunk().version())));
    ASSERT_GE(passage.chunk().version(), newest);
    newest = passage.chunk().version();
    ++searches;
  }
  std::printf("%lu searches, %lu versions\n", searches, newest);
  EXPECT_GT(newest, 3u);
}

// A write that cannot be indexed is acknowledged all the same, and one can see
// why it is not found.
TEST_F(UpdatesTest, ACollectionSaysWhyItsIndexIsBehind) {
  const auto get = [&] {
    v1::GetCollectionRequest request;
    request.set_name("collections/c");
    v1::GetCollectionResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        service_.collections().GetCollection(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.collection();
  };
  Count("number = 1", PutNumber("a", 1));
  // A file where the directory of its indexes has to be.
  const std::string indexes = service_.directory() + "/indexes/c";
  std::filesystem::rename(indexes, indexes + ".away");
  std::ofstream(indexes) << "in the way";
  const uint64_t sequence = PutNumber("b", 1);
  const auto wait_until = [&](auto&& done) {
    v1::Collection collection = get();
    for (int i = 0; i < 3000 && !done(collection); ++i) {
      absl::SleepFor(absl::Milliseconds(10));
      collection = get();
    }
    return collection;
  };
  v1::Collection collection =
      wait_until([](const auto& c) { return !c.index_error().empty(); });
  EXPECT_THAT(collection.index_error(), HasSubstr("index"));
  EXPECT_LT(collection.visible_sequence(), sequence);

  std::filesystem::remove(indexes);
  collection = wait_until(
      [&](const auto& c) { return c.visible_sequence() >= sequence; });
  EXPECT_EQ(collection.visible_sequence(), sequence);
  collection =
      wait_until([](const auto& c) { return c.index_error().empty(); });
  EXPECT_EQ(collection.index_error(), "");
  EXPECT_EQ(Count("number = 1", sequence), 2);
}

// From the acknowledgement to a search that sees it without asking to wait.
TEST_F(UpdatesTest, AWriteIsSeenSoon) {
  std::vector<absl::Duration> delays;
  for (int i = 0; i < 60; ++i) {
    const uint64_t sequence =
        service_.Put("c", absl::StrCat("d", i), "harbour");
    const absl::Time begin = absl::Now();
    while (service_.runtime().backend().DescribeIndexes("c")->visible_sequence <
               sequence &&
           absl::Now() - begin < absl::Seconds(30)) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    delays.push_back(absl::Now() - begin);
  }
  std::sort(delays.begin(), delays.end());
  std::printf("visible after p50 %.1f ms, p95 %.1f ms, at most %.1f ms\n",
              absl::ToDoubleMilliseconds(delays[delays.size() / 2]),
              absl::ToDoubleMilliseconds(delays[delays.size() * 95 / 100]),
              absl::ToDoubleMilliseconds(delays.back()));
  // The promise is 500 ms; beside other tests the machine may be busy.
  EXPECT_LT(delays[delays.size() * 95 / 100], absl::Seconds(3));
}

}  // namespace
}  // namespace braid::services
