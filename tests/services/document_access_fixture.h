// One collection whose documents each say who may read them, and callers of
// every kind.
#ifndef BRAID_TESTS_SERVICES_DOCUMENT_ACCESS_FIXTURE_H_
#define BRAID_TESTS_SERVICES_DOCUMENT_ACCESS_FIXTURE_H_

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

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

using Names = std::set<std::string>;

inline constexpr int kDocuments = 60;

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

}  // namespace braid::services

#endif  // BRAID_TESTS_SERVICES_DOCUMENT_ACCESS_FIXTURE_H_
