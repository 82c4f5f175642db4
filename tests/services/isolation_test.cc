// A hundred collections, each with words of its own and a caller who may read
// it alone: none of another's words ever comes back, whatever is asked.
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "services/auth/authenticator.h"
#include "test_service.h"

namespace braid::services {
namespace {

constexpr int kCollections = 100;
constexpr int kQueries = 10000;

class IsolationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/braid_isolation_access.toml";
    std::ofstream file(path_);
    root_ = *auth::MakeKey();
    WriteKey(file, "root", root_, "admin", "*");
    for (int i = 0; i < kCollections; ++i) {
      keys_.push_back(*auth::MakeKey());
      WriteKey(file, absl::StrCat("tenant", i), keys_.back(), "reader",
               Collection(i));
    }
    file.close();
    TestOptions options;
    options.address = "127.0.0.1:0";
    options.configure = [this](Config* config) {
      config->auth_access_file = path_;
    };
    service_ = std::make_unique<TestService>(options);
    Fill();
  }
  void TearDown() override {
    service_.reset();
    std::filesystem::remove(path_);
  }

  static void WriteKey(std::ofstream& file, const std::string& name,
                       const std::string& key, const std::string& role,
                       const std::string& collection) {
    file << "[[key]]\nname = \"" << name << "\"\nsha256 = \""
         << *auth::HashKey(key) << "\"\ngrants = [{ role = \"" << role
         << "\", collections = [\"" << collection << "\"] }]\n";
  }
  static std::string Collection(int i) { return absl::StrCat("tenant-", i); }
  // A word that is in one collection alone. Letters only, so that no number
  // holds it by chance.
  static std::string Canary(int i) {
    return absl::StrCat("canary", std::string(1, 'a' + i / 10),
                        std::string(1, 'a' + i % 10), "x");
  }

  void Fill() {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + root_);
    auto stream = service_->documents().Ingest(&context);
    for (int i = 0; i < kCollections; ++i) {
      const std::string canary = Canary(i);
      v1::IngestRequest request =
          TextRequest(Collection(i), canary,
                      absl::StrCat("The common secret of this house is ",
                                   canary, ". It is kept in the cellar."));
      request.mutable_document()->set_title("Secret " + canary);
      (*request.mutable_document()->mutable_metadata()->mutable_fields())["key"]
          .set_string_value(canary);
      ASSERT_TRUE(stream->Write(request));
      v1::IngestResponse response;
      ASSERT_TRUE(stream->Read(&response));
      ASSERT_FALSE(response.has_error()) << response.DebugString();
    }
    stream->WritesDone();
    ASSERT_TRUE(stream->Finish().ok());
  }

  // Fails if `text` holds the canary of anybody but `tenant`.
  void ExpectOwn(int tenant, const std::string& text,
                 const std::string& asked) {
    for (size_t at = text.find("canary"); at != std::string::npos;
         at = text.find("canary", at + 1)) {
      const std::string found = text.substr(at, Canary(0).size());
      own_seen_ += found == Canary(tenant) ? 1 : 0;
      EXPECT_TRUE(found == Canary(tenant) || found == asked)
          << Collection(tenant) << " was shown " << found << " when asking for "
          << asked;
    }
  }

  void Show(grpc::ClientContext* context, int tenant) {
    context->AddMetadata(
        "authorization",
        absl::StrCat("Bearer ", keys_[static_cast<size_t>(tenant)]));
  }

  std::string path_;
  int own_seen_ = 0;
  std::string root_;
  std::vector<std::string> keys_;
  std::unique_ptr<TestService> service_;
};

TEST_F(IsolationTest, NoCanaryCrosses) {
  std::mt19937 random(7);
  int refused = 0;
  int empty = 0;
  for (int q = 0; q < kQueries && !HasFailure(); ++q) {
    const int tenant = static_cast<int>(random() % kCollections);
    const int other =
        (tenant + 1 + static_cast<int>(random() % (kCollections - 1))) %
        kCollections;
    const std::string canary = Canary(other);
    // What is asked in the caller's own collection names the other's word; what
    // comes back may repeat it only where errors echo the request.
    const bool own = random() % 2 == 0;
    const std::string collection =
        "collections/" + Collection(own ? tenant : other);
    grpc::ClientContext context;
    Show(&context, tenant);
    grpc::Status status;
    switch (random() % 5) {
      case 0:
      case 1: {
        v1::SearchRequest request;
        request.set_collection(collection);
        request.set_query(random() % 2 == 0 ? canary
                                            : "common secret " + canary);
        if (random() % 3 == 0) request.set_filter("key = \"" + canary + "\"");
        request.set_explain(random() % 2 == 0);
        request.set_multi_hop(random() % 2 == 0);
        v1::SearchResponse response;
        status = service_->retrieval().Search(&context, request, &response);
        ExpectOwn(tenant, response.SerializeAsString(), "");
        if (own && !request.filter().empty()) {
          EXPECT_EQ(response.passages_size(), 0);
          ++empty;
        }
        break;
      }
      case 2: {
        v1::BuildContextRequest request;
        request.mutable_search()->set_collection(collection);
        request.mutable_search()->set_query("common secret " + canary);
        v1::BuildContextResponse response;
        status =
            service_->retrieval().BuildContext(&context, request, &response);
        ExpectOwn(tenant, response.SerializeAsString(), "");
        break;
      }
      case 3: {
        v1::AnswerRequest request;
        request.set_collection(collection);
        request.set_question("What is the secret " + canary + "?");
        auto stream = service_->answers().Answer(&context, request);
        v1::AnswerResponse response;
        while (stream->Read(&response)) {
          ExpectOwn(tenant, response.SerializeAsString(), "");
        }
        status = stream->Finish();
        break;
      }
      default: {
        v1::GetDocumentRequest request;
        request.set_name(absl::StrCat(collection, "/documents/", canary));
        v1::GetDocumentResponse response;
        status =
            service_->documents().GetDocument(&context, request, &response);
        ExpectOwn(tenant, response.SerializeAsString(), "");
        if (own) {
          EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
          status = grpc::Status::OK;
        }
      }
    }
    ExpectOwn(tenant, status.error_message() + status.error_details(), canary);
    EXPECT_EQ(status.error_code(),
              own ? grpc::StatusCode::OK : grpc::StatusCode::PERMISSION_DENIED)
        << status.error_message();
    refused += own ? 0 : 1;
  }
  // The test would see one that crosses: it sees those that may be seen.
  EXPECT_GT(own_seen_, kQueries / 10);
  EXPECT_GT(refused, kQueries / 3);
  EXPECT_GT(empty, kQueries / 50);
}

}  // namespace
}  // namespace braid::services
