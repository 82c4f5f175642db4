// Whatever is asked, nobody is shown a word of what does not name them, and
// what they may not see is told in the same words as what is not there. The
// oracle knows the lists that were written, and nothing else.
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "document_access_fixture.h"

namespace braid::services {
namespace {

using ::testing::IsEmpty;

constexpr int kQueries = 3000;

// Asks as one caller, and compares with the oracle.
class Questions : public DocumentAccessTest {
 protected:
  std::string AnyId() { return Id(static_cast<int>(random_() % kDocuments)); }
  Names AnyReaders() {
    Names readers;
    for (uint64_t i = random_() % 3; i > 0; --i) {
      auto name = listable_.begin();
      std::advance(name, random_() % listable_.size());
      readers.insert(*name);
    }
    return readers;
  }
  uint64_t AnySequence() {
    auto state = past_.begin();
    std::advance(state, random_() % past_.size());
    return state->first;
  }

  void Search(const std::string& caller) {
    const Names visible = Visible(caller);
    const std::string other = Canary(AnyId());
    v1::SearchRequest request;
    request.set_collection("collections/c");
    request.set_wait_for_sequence(last_);
    request.set_top_k(100);
    request.set_explain(true);
    const bool named = random_() % 3 == 0;
    request.set_query(named ? "secret " + other : "common secret house");
    const uint64_t legs = random_() % 3;
    if (legs == 1) request.add_legs(v1::LEG_BM25);
    if (legs == 2) request.add_legs(v1::LEG_DENSE);
    request.set_multi_hop(random_() % 2 == 0);
    if (random_() % 2 == 0) {
      request.mutable_fusion()->set_method(v1::FUSION_METHOD_RRF);
    }
    Names expected = visible;
    if (random_() % 3 == 0) {
      request.set_filter("key = \"" + other + "\"");
      std::erase_if(expected,
                    [&](const std::string& id) { return Canary(id) != other; });
    }
    grpc::ClientContext context;
    Show(&context, caller);
    v1::SearchResponse response;
    grpc::Status status;
    if (random_() % 4 == 0) {
      // The same, and what an answer would read of it.
      v1::BuildContextRequest lay_out;
      *lay_out.mutable_search() = request;
      v1::BuildContextResponse built;
      status = service_->retrieval().BuildContext(&context, lay_out, &built);
      ExpectOnly(visible, built.SerializeAsString(), "");
      response = built.search();
    } else {
      status = service_->retrieval().Search(&context, request, &response);
    }
    ASSERT_TRUE(status.ok()) << status.error_message();
    ExpectOnly(visible, response.SerializeAsString(), "");
    ASSERT_THAT(response.degraded(), IsEmpty());
    // All of them, whole or merged into another.
    size_t found = 0;
    for (const v1::Passage& passage : response.passages()) {
      found += 1 + static_cast<size_t>(
                       passage.explanation().merged_chunk_ids_size());
    }
    EXPECT_EQ(found, expected.size());
    empty_ += expected.empty() ? 1 : 0;
  }

  void Answer(const std::string& caller) {
    const Names visible = Visible(caller);
    v1::AnswerRequest request;
    request.set_collection("collections/c");
    request.set_wait_for_sequence(last_);
    request.set_question("What is the common secret " + Canary(AnyId()) + "?");
    request.set_multi_hop(random_() % 2 == 0);
    request.set_explain(true);
    grpc::ClientContext context;
    Show(&context, caller);
    auto stream = service_->answers().Answer(&context, request);
    v1::AnswerResponse response;
    while (stream->Read(&response)) {
      ExpectOnly(visible, response.SerializeAsString(), "");
      cited_ += response.has_citation() ? 1 : 0;
    }
    const grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  void Get(const std::string& caller) {
    v1::GetDocumentRequest request;
    request.set_name(Name(AnyId()));
    const std::string id = request.name().substr(Name("").size());
    uint64_t as_of = 0;
    switch (random_() % 4) {
      case 0:
        request.set_version(1 + random_() % 4);
        break;
      case 1:
        as_of = AnySequence();
        request.set_as_of_sequence(as_of);
        break;
      case 2:
        request.set_include_chunks(true);
        break;
      default:
        break;
    }
    const auto get = [&](v1::GetDocumentResponse* response) {
      grpc::ClientContext context;
      Show(&context, caller);
      return service_->documents().GetDocument(&context, request, response);
    };
    v1::GetDocumentResponse response;
    const grpc::Status status = get(&response);
    if (status.ok()) {
      EXPECT_TRUE(Meet(callers_.at(caller).names, latest_.at(id)));
      EXPECT_TRUE(response.document().readers().empty());
    }
    if (request.version() == 0) {
      EXPECT_EQ(status.ok(), Visible(caller, as_of).contains(id)) << id;
    }
    if (status.ok()) {
      ++seen_;
      return;
    }
    // As of a document that never was.
    request.set_name(Name(Missing()));
    const grpc::Status missing = get(&response);
    EXPECT_EQ(status.error_code(), missing.error_code());
    EXPECT_EQ(absl::StrReplaceAll(status.error_message(), {{id, Missing()}}),
              missing.error_message());
    EXPECT_EQ(absl::StrReplaceAll(status.error_details(), {{id, Missing()}}),
              missing.error_details());
    EXPECT_TRUE(response.SerializeAsString().empty());
    ++refused_;
  }

  void List(const std::string& caller) {
    v1::ListDocumentsRequest request;
    request.set_parent("collections/c");
    request.set_page_size(static_cast<int>(1 + random_() % 10));
    const uint64_t as_of = random_() % 2 == 0 ? 0 : AnySequence();
    request.set_as_of_sequence(as_of);
    const Names visible = Visible(caller, as_of);
    Names expected = visible;
    if (random_() % 3 == 0) {
      const std::string other = Canary(AnyId());
      request.set_filter("key = \"" + other + "\"");
      std::erase_if(expected,
                    [&](const std::string& id) { return Canary(id) != other; });
    }
    std::vector<std::string> found;
    do {
      grpc::ClientContext context;
      Show(&context, caller);
      v1::ListDocumentsResponse response;
      const grpc::Status status =
          service_->documents().ListDocuments(&context, request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      ExpectOnly(visible, response.SerializeAsString(), "");
      for (const v1::Document& document : response.documents()) {
        EXPECT_TRUE(document.readers().empty());
        found.push_back(document.document_id());
      }
      std::string token;
      EXPECT_TRUE(
          absl::WebSafeBase64Unescape(response.next_page_token(), &token));
      ExpectOnly(visible, token, "");
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(found,
              std::vector<std::string>(expected.begin(), expected.end()));
  }

  void Describe(const std::string& caller) {
    grpc::ClientContext context;
    Show(&context, caller);
    v1::GetCollectionRequest request;
    request.set_name("collections/c");
    v1::GetCollectionResponse response;
    const grpc::Status status =
        service_->collections().GetCollection(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(response.collection().document_access());
    EXPECT_EQ(response.collection().document_count(), 0u);
    EXPECT_EQ(response.collection().chunk_count(), 0u);
  }

  // What those who may write do meanwhile.
  void Change() {
    const std::string id = AnyId();
    const uint64_t kind = random_() % 10;
    if (!documents_.contains(id) || kind < 3) {
      Put(id, AnyReaders());
    } else if (kind < 9) {
      Patch(id, AnyReaders());
    } else {
      Delete(id);
    }
  }

  std::mt19937_64 random_{11};
  int empty_ = 0;
  int cited_ = 0;
  int refused_ = 0;
};

TEST_F(Questions, NobodyIsShownWhatDoesNotNameThem) {
  for (int i = 0; i < kDocuments; ++i) Put(Id(i), AnyReaders());
  for (int q = 0; q < kQueries && !HasFailure(); ++q) {
    const std::string& caller = readers_[random_() % readers_.size()];
    SCOPED_TRACE(absl::StrCat("query ", q, " of ", caller));
    const uint64_t kind = random_() % 100;
    if (kind < 40) {
      Search(caller);
    } else if (kind < 50) {
      Answer(caller);
    } else if (kind < 75) {
      Get(caller);
    } else if (kind < 85) {
      List(caller);
    } else if (kind < 90) {
      Describe(caller);
    } else {
      Change();
    }
  }
  // The test would see one that leaks: it sees those that may be seen.
  EXPECT_GT(seen_, kQueries);
  EXPECT_GT(cited_, kQueries / 100);
  EXPECT_GT(refused_, kQueries / 20);
  EXPECT_GT(empty_, kQueries / 50);
}

}  // namespace
}  // namespace braid::services
