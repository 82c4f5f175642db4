// Long-running calls, listed, followed and cancelled over gRPC.
#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_service.h"

namespace braid::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ingest = grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>;

// What every test asks of the service.
class Client {
 public:
  explicit Client(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::OperationService::NewStub(channel)) {}

  grpc::Status List(const v1::ListOperationsRequest& request,
                    v1::ListOperationsResponse* response) {
    grpc::ClientContext context;
    response->Clear();
    return stub_->ListOperations(&context, request, response);
  }
  std::vector<v1::Operation> List(
      v1::Operation::Kind kind = v1::Operation::KIND_UNSPECIFIED,
      v1::Operation::State state = v1::Operation::STATE_UNSPECIFIED) {
    v1::ListOperationsRequest request;
    request.set_kind(kind);
    request.set_state(state);
    v1::ListOperationsResponse response;
    const grpc::Status status = List(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.operations().begin(), response.operations().end()};
  }
  // The one that runs, as soon as there is one.
  v1::Operation WaitForRunning() {
    const absl::Time start = absl::Now();
    while (absl::Now() - start < absl::Seconds(20)) {
      const auto running =
          List(v1::Operation::KIND_UNSPECIFIED, v1::Operation::STATE_RUNNING);
      if (!running.empty()) return running[0];
    }
    ADD_FAILURE() << "nothing runs";
    return {};
  }
  v1::Operation Get(const std::string& name) {
    v1::GetOperationRequest request;
    request.set_name(name);
    v1::GetOperationResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        stub_->GetOperation(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.operation();
  }
  grpc::Status Cancel(const std::string& name, v1::Operation* operation) {
    v1::CancelOperationRequest request;
    request.set_name(name);
    v1::CancelOperationResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        stub_->CancelOperation(&context, request, &response);
    *operation = response.operation();
    return status;
  }
  std::unique_ptr<grpc::ClientReader<v1::WatchOperationResponse>> Watch(
      grpc::ClientContext* context, const std::string& name) {
    v1::WatchOperationRequest request;
    request.set_name(name);
    return stub_->WatchOperation(context, request);
  }
  // Follows one to its end; the number of messages goes to `messages`.
  v1::Operation WatchToEnd(const std::string& name, int* messages = nullptr) {
    grpc::ClientContext context;
    const auto watch = Watch(&context, name);
    v1::WatchOperationResponse response;
    int count = 0;
    while (watch->Read(&response)) ++count;
    const grpc::Status status = watch->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    if (messages != nullptr) *messages = count;
    return response.operation();
  }

 private:
  std::unique_ptr<v1::OperationService::Stub> stub_;
};

// Ended by CancelOperation, and says so.
void ExpectCancelled(const grpc::Status& status, const std::string& name) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_THAT(status.error_message(), HasSubstr(name));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(status, &info));
  EXPECT_EQ(info.reason(), "OPERATION_CANCELLED");
  EXPECT_EQ(info.metadata().at("operation"), name);
}

TEST(Operations, AnIngestStreamFromBeginToEnd) {
  TestService service;
  Client client(service.channel());
  EXPECT_THAT(client.List(), IsEmpty());
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "nightly-7");
  auto stream = service.documents().Ingest(&context);
  v1::IngestResponse acknowledged;
  for (int i = 0; i < 3; ++i) {
    // The last without a text: it fails.
    v1::IngestRequest request =
        TextRequest("docs", absl::StrCat(i), i < 2 ? "some text" : "");
    ASSERT_TRUE(stream->Write(request));
    ASSERT_TRUE(stream->Read(&acknowledged));
  }
  const v1::Operation running = client.WaitForRunning();
  EXPECT_EQ(running.kind(), v1::Operation::KIND_INGEST);
  EXPECT_EQ(running.collection(), "collections/docs");
  EXPECT_EQ(running.request_id(), "nightly-7");
  EXPECT_EQ(running.progress().done(), 2u);
  EXPECT_EQ(running.progress().failed(), 1u);
  EXPECT_FALSE(running.progress().has_total());
  EXPECT_EQ(running.progress().unit(), "documents");
  EXPECT_FALSE(running.has_end_time());
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&acknowledged));
  EXPECT_TRUE(stream->Finish().ok());
  const v1::Operation ended = client.WatchToEnd(running.name());
  EXPECT_EQ(ended.state(), v1::Operation::STATE_SUCCEEDED);
  EXPECT_TRUE(ended.has_end_time());
  EXPECT_FALSE(ended.has_error());
}

TEST(Operations, ACancelledIngestKeepsWhatWasAcknowledged) {
  TestService service;
  Client client(service.channel());
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  v1::IngestResponse acknowledged;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(
        stream->Write(TextRequest("docs", absl::StrCat(i), "some text")));
    ASSERT_TRUE(stream->Read(&acknowledged));
  }
  const std::string name = client.WaitForRunning().name();
  v1::Operation operation;
  ASSERT_TRUE(client.Cancel(name, &operation).ok());
  EXPECT_TRUE(operation.cancel_requested());
  EXPECT_FALSE(stream->Read(&acknowledged));
  ExpectCancelled(stream->Finish(), name);
  operation = client.Get(name);
  EXPECT_EQ(operation.state(), v1::Operation::STATE_CANCELLED);
  EXPECT_EQ(operation.progress().done(), 5u);
  EXPECT_EQ(operation.error().code(), grpc::StatusCode::CANCELLED);
  // Again: as it is.
  v1::Operation again;
  ASSERT_TRUE(client.Cancel(name, &again).ok());
  EXPECT_EQ(again.DebugString(), operation.DebugString());
  for (int i = 0; i < 5; ++i) {
    v1::GetDocumentRequest request;
    request.set_name(absl::StrCat("collections/docs/documents/", i));
    v1::GetDocumentResponse response;
    grpc::ClientContext get;
    EXPECT_TRUE(service.documents().GetDocument(&get, request, &response).ok());
  }
}

TEST(Operations, AClientThatGoesAwayCancelsItsOwn) {
  TestService service;
  Client client(service.channel());
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  ASSERT_TRUE(stream->Write(TextRequest("docs", "a", "some text")));
  v1::IngestResponse acknowledged;
  ASSERT_TRUE(stream->Read(&acknowledged));
  const std::string name = client.WaitForRunning().name();
  context.TryCancel();
  stream->Finish();
  const v1::Operation ended = client.WatchToEnd(name);
  EXPECT_EQ(ended.state(), v1::Operation::STATE_CANCELLED);
  EXPECT_FALSE(ended.cancel_requested());
}

TEST(Operations, WatchTellsChangesTogetherAndEndsWithTheLast) {
  TestService service;
  Client client(service.channel());
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  const std::string name = client.WaitForRunning().name();
  int messages = 0;
  v1::Operation last;
  std::thread follower([&] { last = client.WatchToEnd(name, &messages); });
  constexpr int kDocuments = 200;
  const absl::Time start = absl::Now();
  v1::IngestResponse acknowledged;
  for (int i = 0; i < kDocuments; ++i) {
    ASSERT_TRUE(
        stream->Write(TextRequest("docs", absl::StrCat(i), "some text")));
    ASSERT_TRUE(stream->Read(&acknowledged));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  follower.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  EXPECT_EQ(last.state(), v1::Operation::STATE_SUCCEEDED);
  EXPECT_EQ(last.progress().done(), static_cast<uint64_t>(kDocuments));
  // Four a second, the first and the last.
  EXPECT_LE(messages, 4 * seconds + 3);
  EXPECT_LT(messages, kDocuments / 2);
  EXPECT_GE(messages, 2);
  // One that has ended is told once.
  EXPECT_EQ(client.WatchToEnd(name, &messages).DebugString(),
            last.DebugString());
  EXPECT_EQ(messages, 1);
}

TEST(Operations, WatchesAreBounded) {
  TestOptions options;
  options.limits.max_operation_watchers = 2;
  TestService service(options);
  Client client(service.channel());
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  const std::string name = client.WaitForRunning().name();
  grpc::ClientContext contexts[3];
  v1::WatchOperationResponse response;
  const auto first = client.Watch(&contexts[0], name);
  ASSERT_TRUE(first->Read(&response));
  const auto second = client.Watch(&contexts[1], name);
  ASSERT_TRUE(second->Read(&response));
  const auto third = client.Watch(&contexts[2], name);
  EXPECT_FALSE(third->Read(&response));
  EXPECT_EQ(third->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  contexts[0].TryCancel();
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // A follower that goes away changes nothing for the operation.
  EXPECT_EQ(client.Get(name).state(), v1::Operation::STATE_RUNNING);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  while (second->Read(&response)) {
  }
  EXPECT_TRUE(second->Finish().ok());
  EXPECT_EQ(response.operation().state(), v1::Operation::STATE_SUCCEEDED);
}

TEST(Operations, PagesFiltersAndViolations) {
  TestService service;
  Client client(service.channel());
  for (int i = 0; i < 5; ++i) {
    service.Put(i % 2 == 0 ? "even" : "odd", absl::StrCat(i), "text");
  }
  v1::ListOperationsRequest request;
  request.set_page_size(2);
  v1::ListOperationsResponse response;
  std::vector<std::string> names;
  do {
    ASSERT_TRUE(client.List(request, &response).ok());
    ASSERT_LE(response.operations_size(), 2);
    for (const auto& operation : response.operations()) {
      names.push_back(operation.name());
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  ASSERT_EQ(names.size(), 5u);
  const auto all = client.List();
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(all[i].name(), names[i]);
  EXPECT_GE(all[0].start_time().seconds(), all[4].start_time().seconds());
  EXPECT_EQ(all[0].collection(), "collections/even");

  request.Clear();
  request.set_collection("collections/odd");
  ASSERT_TRUE(client.List(request, &response).ok());
  EXPECT_EQ(response.operations_size(), 2);
  EXPECT_THAT(client.List(v1::Operation::KIND_BACKUP), IsEmpty());
  for (const std::string& name : names) client.WatchToEnd(name);
  EXPECT_THAT(client.List(v1::Operation::KIND_UNSPECIFIED,
                          v1::Operation::STATE_RUNNING),
              IsEmpty());

  request.set_collection("odd");
  request.set_page_size(-1);
  request.set_page_token("nonsense");
  request.set_kind(static_cast<v1::Operation::Kind>(77));
  request.set_state(static_cast<v1::Operation::State>(-1));
  const grpc::Status status = client.List(request, &response);
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(GetDetail(status, &bad_request));
  EXPECT_EQ(bad_request.field_violations_size(), 5)
      << bad_request.DebugString();
  // A token of one list is none of another.
  request.Clear();
  request.set_page_size(2);
  ASSERT_TRUE(client.List(request, &response).ok());
  request.set_page_token(response.next_page_token());
  request.set_kind(v1::Operation::KIND_INGEST);
  EXPECT_EQ(client.List(request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  v1::Operation operation;
  EXPECT_EQ(client.Cancel("operations/0-1", &operation).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(client.Cancel("operations/", &operation).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  grpc::ClientContext context;
  v1::WatchOperationResponse watched;
  const auto watch = client.Watch(&context, "operations/0-1");
  EXPECT_FALSE(watch->Read(&watched));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(Operations, ABackupThatIsCancelledLeavesNothing) {
  TestService service;
  Client client(service.channel());
  // Random words: more than fits into queues, however it is compressed.
  std::mt19937_64 random(7);
  std::string text;
  while (text.size() < 1 << 20) absl::StrAppend(&text, " ", random());
  service.Put("docs", "large", text);
  grpc::ClientContext context;
  const auto backup = service.admin().Backup(&context, v1::BackupRequest());
  v1::BackupResponse part;
  ASSERT_TRUE(backup->Read(&part));  // and no more for now
  const v1::Operation running = client.WaitForRunning();
  EXPECT_EQ(running.kind(), v1::Operation::KIND_BACKUP);
  EXPECT_EQ(running.collection(), "");
  const std::string checkpoints = service.directory() + "/checkpoints";
  EXPECT_FALSE(std::filesystem::is_empty(checkpoints));
  v1::Operation operation;
  ASSERT_TRUE(client.Cancel(running.name(), &operation).ok());
  const v1::Operation ended = client.WatchToEnd(running.name());
  EXPECT_EQ(ended.state(), v1::Operation::STATE_CANCELLED);
  EXPECT_LT(ended.progress().done(), ended.progress().total());
  EXPECT_EQ(ended.progress().unit(), "bytes");
  EXPECT_TRUE(std::filesystem::is_empty(checkpoints));
  while (backup->Read(&part)) EXPECT_FALSE(part.has_summary());
  ExpectCancelled(backup->Finish(), running.name());

  // One that is left alone ends with all that there is.
  grpc::ClientContext second;
  const auto whole = service.admin().Backup(&second, v1::BackupRequest());
  while (whole->Read(&part)) {
  }
  ASSERT_TRUE(whole->Finish().ok());
  const auto backups = client.List(v1::Operation::KIND_BACKUP);
  ASSERT_EQ(backups.size(), 2u);
  EXPECT_EQ(backups[0].state(), v1::Operation::STATE_SUCCEEDED);
  EXPECT_EQ(backups[0].progress().done(), part.summary().bytes());
  EXPECT_EQ(backups[0].progress().total(), part.summary().bytes());
}

// Verifies until it is told to stop.
class EndlessVerify final : public FakeBackend {
 public:
  absl::StatusOr<retrieval::DataReport> Verify(
      bool, std::chrono::steady_clock::time_point, const std::stop_token& stop,
      const retrieval::VerifyWatcher& progress) override {
    uint64_t checked = 0;
    do {  // something is found before it is stopped, however soon that is
      progress({.documents = ++checked, .damaged = 1, .total = 1000000});
      absl::SleepFor(absl::Milliseconds(1));
    } while (!stop.stop_requested());
    return absl::CancelledError("the check was stopped");
  }
};

TEST(Operations, VerifyStopsHoweverBusyThePoolsAre) {
  TestService service(
      {.backend = [] { return std::make_unique<EndlessVerify>(); }});
  Client client(service.channel());
  // More than there are threads for such calls.
  constexpr int kChecks = 8;
  std::vector<std::thread> checks;
  std::atomic<int> cancelled = 0;
  for (int i = 0; i < kChecks; ++i) {
    checks.emplace_back([&] {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
      v1::VerifyResponse response;
      const grpc::Status status =
          service.admin().Verify(&context, v1::VerifyRequest(), &response);
      google::rpc::ErrorInfo info;
      if (GetDetail(status, &info) && info.reason() == "OPERATION_CANCELLED") {
        ++cancelled;
      }
    });
  }
  for (int left = kChecks; left > 0; --left) {
    const v1::Operation running = client.WaitForRunning();
    EXPECT_EQ(running.kind(), v1::Operation::KIND_VERIFY);
    v1::Operation operation;
    const absl::Time start = absl::Now();
    ASSERT_TRUE(client.Cancel(running.name(), &operation).ok());
    const v1::Operation ended = client.WatchToEnd(running.name());
    EXPECT_LT(absl::Now() - start, absl::Seconds(2));
    EXPECT_EQ(ended.state(), v1::Operation::STATE_CANCELLED);
    EXPECT_EQ(ended.progress().total(), 1000000u);
    EXPECT_EQ(ended.progress().failed(), 1u);
  }
  for (std::thread& check : checks) check.join();
  EXPECT_EQ(cancelled, kChecks);
}

TEST(Operations, VerifyTellsWhatItHasRead) {
  TestService service;
  Client client(service.channel());
  for (int i = 0; i < 7; ++i) service.Put("docs", absl::StrCat(i), "text");
  grpc::ClientContext context;
  v1::VerifyResponse response;
  ASSERT_TRUE(
      service.admin().Verify(&context, v1::VerifyRequest(), &response).ok());
  const auto checks = client.List(v1::Operation::KIND_VERIFY);
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].state(), v1::Operation::STATE_SUCCEEDED);
  EXPECT_EQ(checks[0].progress().done(), 7u);
  EXPECT_EQ(checks[0].progress().failed(), 0u);
  EXPECT_EQ(checks[0].progress().total(), 7u);
}

TEST(Operations, ADeleteByFilterCanBeStoppedOnItsWay) {
  TestService service;
  Client client(service.channel());
  service.Put("docs", "first", "text");
  constexpr int kDocuments = 15000;
  retrieval::Store* const store = service.runtime().backend().store();
  std::vector<retrieval::DocumentWrite> writes(kDocuments);
  for (int i = 0; i < kDocuments; ++i) {
    writes[i].id = absl::StrCat("d", i);
    writes[i].text = "text";
    writes[i].metadata["kind"] = "note";
  }
  for (const auto& result : store->PutDocuments("docs", writes, false)) {
    ASSERT_TRUE(result.ok());
  }
  v1::DeleteDocumentsRequest request;
  request.set_parent("collections/docs");
  request.set_filter("kind = \"note\"");
  // One that only counts is no operation.
  request.set_validate_only(true);
  v1::DeleteDocumentsResponse response;
  grpc::ClientContext counting;
  ASSERT_TRUE(
      service.documents().DeleteDocuments(&counting, request, &response).ok());
  EXPECT_EQ(response.deleted_count(), static_cast<uint64_t>(kDocuments));
  EXPECT_THAT(client.List(v1::Operation::KIND_DELETE_DOCUMENTS), IsEmpty());

  request.set_validate_only(false);
  grpc::Status status;
  std::thread deleting([&] {
    grpc::ClientContext context;
    status = service.documents().DeleteDocuments(&context, request, &response);
  });
  const v1::Operation running = client.WaitForRunning();
  EXPECT_EQ(running.kind(), v1::Operation::KIND_DELETE_DOCUMENTS);
  EXPECT_EQ(running.collection(), "collections/docs");
  v1::Operation operation;
  ASSERT_TRUE(client.Cancel(running.name(), &operation).ok());
  deleting.join();
  ExpectCancelled(status, running.name());
  operation = client.Get(running.name());
  const auto left = store->snapshot()->Counters("docs");
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(left->documents + operation.progress().done(), kDocuments + 1u);
  EXPECT_GT(left->documents, 1u);
}

TEST(Operations, ShutdownEndsOperationsAndThoseWhoFollowThem) {
  TestService service;
  Client client(service.channel());
  grpc::ClientContext context;
  auto stream = service.documents().Ingest(&context);
  const std::string name = client.WaitForRunning().name();
  grpc::ClientContext watching;
  const auto watch = client.Watch(&watching, name);
  v1::WatchOperationResponse response;
  ASSERT_TRUE(watch->Read(&response));
  const absl::Time start = absl::Now();
  service.server().Shutdown(absl::Milliseconds(100));
  EXPECT_LT(absl::Now() - start, absl::Seconds(4));
  while (watch->Read(&response)) {
  }
  // It has seen the end, or that it will not see it.
  const grpc::Status status = watch->Finish();
  if (status.ok()) {
    EXPECT_EQ(response.operation().state(), v1::Operation::STATE_FAILED);
  } else {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  v1::IngestResponse acknowledged;
  EXPECT_FALSE(stream->Read(&acknowledged));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace braid::services
