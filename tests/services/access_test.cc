// Every RPC for every kind of caller, over the wire.
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "generic_call.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "services/auth/authenticator.h"
#include "test_certificates.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The least that each RPC needs in the collection `c`.
const std::map<std::string, std::string>& Needed() {
  static const auto& needed = *new std::map<std::string, std::string>{
      {"RetrievalService/Search", "reader"},
      {"RetrievalService/BuildContext", "reader"},
      {"RetrievalService/Embed", "reader anywhere"},
      {"AnswerService/Answer", "reader"},
      {"GenerationService/AnswerFromPassages", "reader anywhere"},
      {"GenerationService/Generate", "reader anywhere"},
      {"CollectionService/CreateCollection", "admin"},
      {"CollectionService/GetCollection", "reader"},
      {"CollectionService/ListCollections", "caller"},
      {"CollectionService/DeleteCollection", "admin"},
      {"DocumentService/Ingest", "writer"},
      {"DocumentService/GetDocument", "reader"},
      {"DocumentService/ListDocuments", "reader"},
      {"DocumentService/DeleteDocument", "writer"},
      {"DocumentService/DeleteDocuments", "writer"},
      {"DocumentService/PatchDocument", "writer"},
      {"AdminService/GetServerInfo", "caller"},
      {"AdminService/CheckConsistency", "admin"},
      {"AdminService/Verify", "admin everywhere"},
      {"AdminService/Backup", "admin everywhere"},
      {"OperationService/ListOperations", "caller"},
      {"OperationService/GetOperation", "caller"},
      {"OperationService/WatchOperation", "caller"},
      {"OperationService/CancelOperation", "caller"},
  };
  return needed;
}

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        ::testing::TempDir() + "/braid_access_test_" +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    AddKey("reader", R"({ role = "reader", collections = ["c"] })");
    AddKey("writer", R"({ role = "writer", collections = ["c"] })");
    AddKey("admin", R"({ role = "admin", collections = ["c"] })");
    AddKey("other", R"({ role = "admin", collections = ["d*"] })");
    AddKey("root", R"({ role = "admin", collections = ["*"] })");
    AddKey("nothing", "");
    WriteAccess();
  }
  void TearDown() override {
    service_.reset();
    std::filesystem::remove_all(directory_);
  }

  void AddKey(const std::string& name, const std::string& grant) {
    keys_[name] = *auth::MakeKey();
    grants_[name] = grant;
  }
  void WriteAccess(const std::string& more = "") {
    std::string content = more;
    for (const auto& [name, key] : keys_) {
      absl::StrAppend(&content, "[[key]]\nname = \"", name, "\"\nsha256 = \"",
                      *auth::HashKey(key), "\"\ngrants = [", grants_[name],
                      "]\n");
    }
    std::ofstream(Path("access.toml")) << content;
  }
  std::string Path(const std::string& name) const {
    return absl::StrCat(directory_, "/", name);
  }

  void Start(std::function<void(Config*)> configure = nullptr,
             const Limits& limits = {}) {
    TestOptions options;
    options.address = "127.0.0.1:0";
    options.limits = limits;
    options.configure = [this, configure](Config* config) {
      config->auth_access_file = Path("access.toml");
      if (configure) configure(config);
    };
    service_ = std::make_unique<TestService>(options);
  }

  void Show(grpc::ClientContext* context, const std::string& caller) const {
    if (caller.empty()) return;
    const auto key = keys_.find(caller);
    context->AddMetadata(
        "authorization",
        absl::StrCat("Bearer ", key == keys_.end() ? caller : key->second));
  }

  // A request whose every name is in collection `c`.
  static std::string Request(const google::protobuf::Descriptor* type) {
    std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(type)
            ->New());
    const auto set = [&](const char* field, const std::string& value) {
      const auto* descriptor = type->FindFieldByName(field);
      if (descriptor == nullptr) return;
      message->GetReflection()->SetString(message.get(), descriptor, value);
    };
    if (auto* context = dynamic_cast<v1::BuildContextRequest*>(message.get())) {
      context->mutable_search()->set_collection("collections/c");
    }
    set("collection", "collections/c");
    set("collection_id", "c");
    set("parent", "collections/c");
    const std::string service = type->file()->name();
    set("name", absl::StrContains(service, "document_service")
                    ? "collections/c/documents/d"
                : absl::StrContains(service, "operation_service")
                    ? "operations/0"
                    : "collections/c");
    return message->SerializeAsString();
  }

  // The code that a caller gets.
  grpc::StatusCode Call(const google::protobuf::MethodDescriptor& method,
                        const std::string& caller) {
    const auto key = keys_.find(caller);
    const GenericOutcome outcome = CallMethod(
        service_->channel(), method, Request(method.input_type()),
        caller.empty()
            ? ""
            : absl::StrCat("Bearer ",
                           key == keys_.end() ? caller : key->second));
    v1::IngestResponse response;
    // Each document has its own.
    if (method.name() == "Ingest" && outcome.status.ok() &&
        outcome.messages.size() == 1 &&
        response.ParseFromString(outcome.messages[0])) {
      return static_cast<grpc::StatusCode>(response.error().code());
    }
    return outcome.status.error_code();
  }

  static bool Refused(grpc::StatusCode code) {
    return code == grpc::StatusCode::UNAUTHENTICATED ||
           code == grpc::StatusCode::PERMISSION_DENIED;
  }

  v1::SearchRequest Search(const std::string& collection) const {
    v1::SearchRequest request;
    request.set_collection("collections/" + collection);
    request.set_query("word");
    return request;
  }
  grpc::Status TrySearch(const std::string& caller,
                         const std::string& collection = "c") {
    grpc::ClientContext context;
    Show(&context, caller);
    v1::SearchResponse response;
    return service_->retrieval().Search(&context, Search(collection),
                                        &response);
  }
  void Create(const std::string& collection) {
    grpc::ClientContext context;
    Show(&context, "root");
    v1::CreateCollectionRequest request;
    request.set_collection_id(collection);
    v1::CreateCollectionResponse response;
    const grpc::Status status =
        service_->collections().CreateCollection(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  std::string directory_;
  std::map<std::string, std::string> keys_;
  std::map<std::string, std::string> grants_;
  std::unique_ptr<TestService> service_;
};

TEST_F(AccessTest, EveryRpcForEveryRole) {
  Start();
  const std::map<std::string, std::set<std::string>> allowed = {
      {"caller", {"nothing", "reader", "writer", "admin", "other", "root"}},
      {"reader anywhere", {"reader", "writer", "admin", "other", "root"}},
      {"reader", {"reader", "writer", "admin", "root"}},
      {"writer", {"writer", "admin", "root"}},
      {"admin", {"admin", "root"}},
      {"admin everywhere", {"root"}},
  };
  std::set<std::string> seen;
  for (const auto* method : AllMethods()) {
    const std::string rpc =
        absl::StrCat(method->service()->name(), "/", method->name());
    const auto needed = Needed().find(rpc);
    ASSERT_NE(needed, Needed().end()) << rpc << " has no row";
    seen.insert(rpc);
    for (const char* stranger : {"", "braid_wrong", "a.b.c"}) {
      EXPECT_EQ(Call(*method, stranger), grpc::StatusCode::UNAUTHENTICATED)
          << rpc << " for \"" << stranger << '"';
    }
    for (const auto& [caller, key] : keys_) {
      EXPECT_EQ(Refused(Call(*method, caller)),
                !allowed.at(needed->second).contains(caller))
          << rpc << " for " << caller;
    }
  }
  EXPECT_EQ(seen.size(), Needed().size());
}

TEST_F(AccessTest, HealthNeedsNoKey) {
  const std::string probes = "unix:" + Path("probes");
  Start([&](Config* config) { config->health_address = probes; });
  const auto probe_channel =
      grpc::CreateChannel(probes, grpc::InsecureChannelCredentials());
  for (const auto& channel : {service_->channel(), probe_channel}) {
    const auto health = grpc::health::v1::Health::NewStub(channel);
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    ASSERT_TRUE(health->Check(&context, {}, &response).ok());
    EXPECT_EQ(response.status(),
              grpc::health::v1::HealthCheckResponse::SERVING);
  }
  // And nothing else is there.
  grpc::ClientContext context;
  Show(&context, "root");
  v1::SearchResponse response;
  EXPECT_EQ(v1::RetrievalService::NewStub(probe_channel)
                ->Search(&context, Search("c"), &response)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(AccessTest, RefusalsSayTheSameOfWhatIsThereAndWhatIsNot) {
  Start();
  Create("d");
  const grpc::Status there = TrySearch("reader", "d");
  const grpc::Status absent = TrySearch("reader", "e");
  EXPECT_EQ(there.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(absent.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(absl::StrReplaceAll(there.error_message(),
                                {{"collections/d", "collections/e"}}),
            absent.error_message());
  EXPECT_EQ(TrySearch("reader", "c/documents/x").error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  v1::SearchRequest malformed = Search("c");
  malformed.set_collection("c");
  grpc::ClientContext context;
  Show(&context, "reader");
  v1::SearchResponse response;
  EXPECT_EQ(
      service_->retrieval().Search(&context, malformed, &response).error_code(),
      grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AccessTest, ListsShowWhatTheCallerMayRead) {
  Start();
  for (const char* id : {"a", "c", "d1", "d2", "z"}) Create(id);
  const auto list = [&](const std::string& caller, int page_size) {
    std::vector<std::string> names;
    v1::ListCollectionsRequest request;
    request.set_page_size(page_size);
    do {
      grpc::ClientContext context;
      Show(&context, caller);
      v1::ListCollectionsResponse response;
      const grpc::Status status =
          service_->collections().ListCollections(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      for (const auto& collection : response.collections()) {
        names.push_back(collection.name());
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return names;
  };
  EXPECT_THAT(list("reader", 10), ElementsAre("collections/c"));
  EXPECT_THAT(list("other", 1),
              ElementsAre("collections/d1", "collections/d2"));
  EXPECT_THAT(list("nothing", 10), ElementsAre());
  EXPECT_EQ(list("root", 2).size(), 5u);
}

TEST_F(AccessTest, OperationsOfOthersAreNotThere) {
  Start();
  Create("d");
  // Leaves an operation of its own.
  grpc::ClientContext context;
  Show(&context, "other");
  auto stream = service_->documents().Ingest(&context);
  ASSERT_TRUE(stream->Write(TextRequest("d", "one", "text")));
  stream->WritesDone();
  v1::IngestResponse ingested;
  while (stream->Read(&ingested)) {
  }
  ASSERT_TRUE(stream->Finish().ok());
  const auto list = [&](const std::string& caller) {
    grpc::ClientContext list_context;
    Show(&list_context, caller);
    v1::ListOperationsResponse response;
    EXPECT_TRUE(service_->operations()
                    .ListOperations(&list_context, {}, &response)
                    .ok());
    return response;
  };
  const auto own = list("other");
  ASSERT_EQ(own.operations_size(), 1);
  EXPECT_EQ(list("reader").operations_size(), 0);
  EXPECT_EQ(list("root").operations_size(), 1);
  const std::string name = own.operations(0).name();
  const auto get = [&](const std::string& caller) {
    grpc::ClientContext get_context;
    Show(&get_context, caller);
    v1::GetOperationRequest request;
    request.set_name(name);
    v1::GetOperationResponse response;
    return service_->operations().GetOperation(&get_context, request,
                                               &response);
  };
  EXPECT_TRUE(get("other").ok());
  EXPECT_EQ(get("reader").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(get("reader").error_message(),
              HasSubstr("there is no operation"));
}

TEST_F(AccessTest, RevokedKeysAreRefused) {
  Start();
  Create("c");
  ASSERT_TRUE(TrySearch("reader").ok());
  const std::string revoked = keys_["reader"];
  keys_.erase("reader");
  WriteAccess();
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (TrySearch(revoked).ok() && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(TrySearch(revoked).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(TrySearch("writer").ok());
}

TEST_F(AccessTest, TokensGetTheGrantsOfTheirGroups) {
  TestKey key;
  std::ofstream(Path("keys.json")) << R"({"keys":[)" << key.Jwk("one") << "]}";
  WriteAccess(
      "[[group]]\nname = \"staff\"\n"
      "grants = [{ role = \"reader\", collections = [\"c\"] }]\n");
  Start([this](Config* config) {
    config->auth_jwks = Path("keys.json");
    config->auth_jwt_issuer = "https://issuer.test";
    config->auth_jwt_audience = "braid";
  });
  Create("c");
  Create("d");
  const auto token = [&key](const std::string& groups) {
    return key.Sign(
        R"({"alg":"RS256","kid":"one"})",
        absl::StrCat(R"({"sub":"alice","iss":"https://issuer.test",)",
                     R"("aud":["braid"],"exp":4000000000,"groups":[)", groups,
                     "]}"));
  };
  EXPECT_TRUE(TrySearch(token(R"("x","staff")")).ok());
  EXPECT_EQ(TrySearch(token(R"("staff")"), "d").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(TrySearch(token(R"("x")")).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AccessTest, QuotasAreEachCallersOwn) {
  Limits limits;
  limits.max_calls_per_second_per_caller = 2;
  Start(nullptr, limits);
  Create("c");
  std::vector<grpc::Status> statuses;
  for (int i = 0; i < 10; ++i) statuses.push_back(TrySearch("reader"));
  EXPECT_TRUE(statuses[0].ok());
  const grpc::Status& last = statuses.back();
  ASSERT_EQ(last.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(GetDetail(last, &retry));
  EXPECT_GT(retry.retry_delay().nanos(), 0);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(last, &info));
  EXPECT_EQ(info.reason(), "QUOTA_EXCEEDED");
  EXPECT_TRUE(TrySearch("writer").ok());
}

TEST_F(AccessTest, TheLogNamesCallersAndNoSecrets) {
  ::testing::internal::CaptureStderr();
  Start([](Config* config) { config->log_level = "debug"; });
  (void)TrySearch("reader");
  (void)TrySearch("braid_guess");
  const TestKey key;
  const std::string token = key.Sign(R"({"alg":"RS256"})", R"({"sub":"a"})");
  (void)TrySearch(token);
  service_.reset();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("caller=key:reader"));
  EXPECT_THAT(log, Not(HasSubstr(keys_["reader"])));
  EXPECT_THAT(log, Not(HasSubstr(*auth::HashKey(keys_["reader"]))));
  EXPECT_THAT(log, Not(HasSubstr("braid_guess")));
  EXPECT_THAT(log, Not(HasSubstr(token)));
}

TEST_F(AccessTest, AnonymousCallersMayDoWhatIsSaid) {
  Start([](Config* config) { config->auth_anonymous = "reader"; });
  Create("c");
  EXPECT_TRUE(TrySearch("").ok());
  grpc::ClientContext context;
  v1::DeleteCollectionRequest request;
  request.set_name("collections/c");
  v1::DeleteCollectionResponse response;
  EXPECT_EQ(service_->collections()
                .DeleteCollection(&context, request, &response)
                .error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(TrySearch("braid_wrong").error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

}  // namespace
}  // namespace braid::services
