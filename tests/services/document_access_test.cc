// One collection whose documents each say who may read them, and callers of
// every kind: whatever is asked, nobody is shown a word of what does not name
// them, and what they may not see is told in the same words as what is not
// there. The oracle knows the lists that were written, and nothing else.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "services/auth/authenticator.h"
#include "test_certificates.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Names = std::set<std::string>;

constexpr int kDocuments = 60;
constexpr int kQueries = 3000;

// Who calls, and the names that lists may give them.
struct Caller {
  std::string authorization;  // header; empty: shows nothing
  Names names;
};

class DocumentAccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        ::testing::TempDir() + "/braid_document_access_" +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    std::ofstream access(Path("access.toml"));
    access << "[[group]]\nname = \"all\"\n"
              "grants = [{ role = \"reader\", collections = [\"*\"] }]\n";
    for (int g = 0; g < 3; ++g) {
      access << "[[group]]\nname = \"g" << g << "\"\n";
    }
    AddKey(access, "root", "[]", "admin");
    AddKey(access, "writer", "[]", "writer");
    for (int r = 0; r < 6; ++r) {
      const std::string name = absl::StrCat("r", r);
      // Of two groups, of one, of none.
      std::string groups;
      Names names = {"*", "key:" + name};
      for (int g = 0; g < r % 3; ++g) {
        absl::StrAppend(&groups, g == 0 ? "" : ", ", "\"g", (r + g) % 3, "\"");
        names.insert(absl::StrCat("group:g", (r + g) % 3));
      }
      AddKey(access, name, "[" + groups + "]", "reader");
      callers_[name].names = std::move(names);
    }
    access.close();
    std::ofstream(Path("keys.json"))
        << absl::StrCat(R"({"keys":[)", key_.Jwk("k"), "]}");
    const int64_t expires = absl::ToUnixSeconds(absl::Now()) + 3600;
    callers_["alice"] = {
        "Bearer " +
            key_.Sign(R"({"alg":"RS256","kid":"k"})",
                      absl::StrCat(R"({"iss":"i","aud":"a","sub":"alice",)",
                                   R"("groups":["all","outside"],"exp":)",
                                   expires, "}")),
        // A group that only the token knows is one all the same.
        {"*", "jwt:alice", "group:all", "group:outside"}};
    callers_["anonymous"] = {"", {"*", "anonymous"}};
    for (const auto& [name, caller] : callers_) {
      if (name != "root" && name != "writer") readers_.push_back(name);
      for (const std::string& known : caller.names) listable_.insert(known);
    }
    TestOptions options;
    options.address = "127.0.0.1:0";
    options.limits.max_scanned_documents = 7;
    options.clock = [this] { return absl::Now() + absl::Hours(hours_.load()); };
    options.configure = [this](Config* config) {
      config->auth_access_file = Path("access.toml");
      config->auth_jwks = Path("keys.json");
      config->auth_jwt_issuer = "i";
      config->auth_jwt_audience = "a";
      config->auth_anonymous = "reader";
    };
    service_ = std::make_unique<TestService>(options);
    ASSERT_TRUE(Create("c", true).ok());
  }
  void TearDown() override {
    service_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string Path(const std::string& name) const {
    return absl::StrCat(directory_, "/", name);
  }
  void AddKey(std::ofstream& access, const std::string& name,
              const std::string& groups, const std::string& role) {
    const std::string key = *auth::MakeKey();
    access << "[[key]]\nname = \"" << name << "\"\nsha256 = \""
           << *auth::HashKey(key) << "\"\ngroups = " << groups
           << "\ngrants = [{ role = \"" << role
           << "\", collections = [\"*\"] }]\n";
    callers_[name].authorization = "Bearer " + key;
  }
  void Show(grpc::ClientContext* context, const std::string& caller) const {
    const std::string& header = callers_.at(caller).authorization;
    if (!header.empty()) context->AddMetadata("authorization", header);
  }

  grpc::Status Create(const std::string& id, bool document_access) {
    grpc::ClientContext context;
    Show(&context, "root");
    v1::CreateCollectionRequest request;
    request.set_collection_id(id);
    request.set_document_access(document_access);
    v1::CreateCollectionResponse response;
    return service_->collections().CreateCollection(&context, request,
                                                    &response);
  }

  // Ids are equally long, so that errors can be compared byte for byte.
  static std::string Id(int i) { return absl::StrFormat("doc-%03d", i); }
  static std::string Missing() { return "nix-000"; }
  static std::string Canary(const std::string& id) {
    return "canary" + absl::StrReplaceAll(id.substr(4), {{"0", "a"},
                                                         {"1", "b"},
                                                         {"2", "c"},
                                                         {"3", "d"},
                                                         {"4", "e"},
                                                         {"5", "f"},
                                                         {"6", "g"},
                                                         {"7", "h"},
                                                         {"8", "i"},
                                                         {"9", "j"}});
  }
  static std::string Name(const std::string& id,
                          const std::string& collection = "c") {
    return absl::StrCat("collections/", collection, "/documents/", id);
  }

  // The secret of a house stands in its own document alone; the next house is
  // named by its title, for the second hop.
  v1::IngestRequest Request(const std::string& id, const Names& readers) {
    v1::IngestRequest request = TextRequest(
        "c", id,
        absl::StrCat("The common secret of this house is ", Canary(id),
                     ". It is kept beside House Number",
                     Id((std::stoi(id.substr(4)) + 1) % kDocuments).substr(4),
                     ". Written ", ++written_, " times."));
    request.mutable_document()->set_title("House Number" + id.substr(4));
    (*request.mutable_document()->mutable_metadata()->mutable_fields())["key"]
        .set_string_value(Canary(id));
    for (const std::string& reader : readers) request.add_readers(reader);
    return request;
  }
  v1::IngestResponse Ingest(const v1::IngestRequest& request) {
    grpc::ClientContext context;
    Show(&context, "writer");
    auto stream = service_->documents().Ingest(&context);
    v1::IngestResponse response;
    EXPECT_TRUE(stream->Write(request));
    stream->WritesDone();
    EXPECT_TRUE(stream->Read(&response));
    EXPECT_TRUE(stream->Finish().ok());
    return response;
  }
  void Put(const std::string& id, const Names& readers) {
    const v1::IngestResponse response = Ingest(Request(id, readers));
    ASSERT_FALSE(response.has_error()) << response.DebugString();
    Remember(id, readers, response.sequence());
  }
  void Patch(const std::string& id, const Names& readers) {
    grpc::ClientContext context;
    Show(&context, "writer");
    v1::PatchDocumentRequest request;
    request.set_name(Name(id));
    request.mutable_readers();
    for (const std::string& reader : readers) {
      request.mutable_readers()->add_names(reader);
    }
    v1::PatchDocumentResponse response;
    const grpc::Status status =
        service_->documents().PatchDocument(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.document().readers_size(),
              static_cast<int>(readers.size()));
    Remember(id, readers, response.sequence());
  }
  void Delete(const std::string& id) {
    grpc::ClientContext context;
    Show(&context, "writer");
    v1::DeleteDocumentRequest request;
    request.set_name(Name(id));
    v1::DeleteDocumentResponse response;
    const grpc::Status status =
        service_->documents().DeleteDocument(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    documents_.erase(id);  // its last list stays
    last_ = response.sequence();
    past_[last_] = documents_;
  }
  void Remember(const std::string& id, const Names& readers,
                uint64_t sequence) {
    documents_[id] = readers;
    latest_[id] = readers;
    last_ = std::max(last_, sequence);
    past_[last_] = documents_;
  }

  // The oracle.
  static bool Meet(const Names& a, const Names& b) {
    for (const std::string& name : a) {
      if (b.contains(name)) return true;
    }
    return false;
  }
  // Now, or after the write `as_of`.
  Names Visible(const std::string& caller, uint64_t as_of = 0) const {
    const Names& names = callers_.at(caller).names;
    Names visible;
    for (const auto& [id, readers] :
         as_of == 0 ? documents_ : past_.at(as_of)) {
      if (Meet(names, readers) && Meet(names, latest_.at(id))) {
        visible.insert(id);
      }
    }
    return visible;
  }

  // Fails if `text` holds the secret of a document that is not in `visible`.
  void ExpectOnly(const Names& visible, const std::string& text,
                  const std::string& asked) {
    const size_t length = Canary(Id(0)).size();
    for (size_t at = text.find("canary"); at != std::string::npos;
         at = text.find("canary", at + 1)) {
      const std::string found = text.substr(at, length);
      bool may = found == asked;
      for (const std::string& id : visible) {
        const bool own = found == Canary(id);
        may = may || own;
        seen_ += own ? 1 : 0;
      }
      EXPECT_TRUE(may) << found << " was shown";
    }
    // Nor its name or id.
    for (int i = 0; i < kDocuments; ++i) {
      if (visible.contains(Id(i))) continue;
      EXPECT_FALSE(absl::StrContains(text, Id(i))) << Id(i) << " was named";
    }
  }

  std::string directory_;
  std::atomic<int> hours_ = 0;  // that the store is ahead
  TestKey key_;
  std::map<std::string, Caller> callers_;
  std::vector<std::string> readers_;  // of the callers those that only read
  Names listable_;
  std::unique_ptr<TestService> service_;
  int written_ = 0;
  int seen_ = 0;
  uint64_t last_ = 0;
  std::map<std::string, Names> documents_;  // that are there: their readers
  std::map<std::string, Names> latest_;     // of deleted ones as well
  std::map<uint64_t, std::map<std::string, Names>> past_;
};

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
