// A server on a temporary directory, with real store, indexes and pipelines.
#ifndef BRAID_TESTS_SERVICES_TEST_SERVICE_H_
#define BRAID_TESTS_SERVICES_TEST_SERVICE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "braid/v1/admin_service.grpc.pb.h"
#include "braid/v1/answer_service.grpc.pb.h"
#include "braid/v1/collection_service.grpc.pb.h"
#include "braid/v1/document_service.grpc.pb.h"
#include "braid/v1/generation_service.grpc.pb.h"
#include "braid/v1/operation_service.grpc.pb.h"
#include "braid/v1/retrieval_service.grpc.pb.h"
#include "fakes.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/channel.h"
#include "gtest/gtest.h"
#include "services/runtime.h"
#include "services/server/server.h"

namespace braid::services {

struct TestOptions {
  Limits limits;
  std::string address;                     // empty: in process
  ScriptedAnswerer::Script answerer;       // empty: the extractive one
  ScriptedGenerator::Script generator;     // empty: none
  std::string encoder_directory;           // empty: FakeEncoder
  std::function<absl::Time()> clock;       // of the store; null: absl::Now
  std::function<void(Config*)> configure;  // the rest; may be null
  // Null: the local one, with its store.
  std::function<std::unique_ptr<retrieval::LocalBackend>()> backend;
};

class TestService {
 public:
  explicit TestService(TestOptions options = {});
  ~TestService();

  Runtime& runtime() { return *runtime_; }
  Server& server() { return *server_; }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }

  v1::CollectionService::Stub& collections() { return *collections_; }
  v1::DocumentService::Stub& documents() { return *documents_; }
  v1::RetrievalService::Stub& retrieval() { return *retrieval_; }
  v1::GenerationService::Stub& generation() { return *generation_; }
  v1::AnswerService::Stub& answers() { return *answers_; }
  v1::AdminService::Stub& admin() { return *admin_; }
  v1::OperationService::Stub& operations() { return *operations_; }
  const std::string& directory() const { return directory_; }

  // Writes all in one stream; one response each, in the order they came.
  std::vector<v1::IngestResponse> Ingest(
      const std::vector<v1::IngestRequest>& requests);
  // Writes one text; its sequence.
  uint64_t Put(const std::string& collection, const std::string& id,
               const std::string& text);

 private:
  const std::string directory_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CollectionService::Stub> collections_;
  std::unique_ptr<v1::DocumentService::Stub> documents_;
  std::unique_ptr<v1::RetrievalService::Stub> retrieval_;
  std::unique_ptr<v1::GenerationService::Stub> generation_;
  std::unique_ptr<v1::AnswerService::Stub> answers_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::OperationService::Stub> operations_;
};

v1::IngestRequest TextRequest(const std::string& collection,
                              const std::string& id, const std::string& text);

// A detail of an error's google.rpc.Status, if it is there.
template <typename Detail>
bool GetDetail(const google::rpc::Status& status, Detail* detail) {
  for (const auto& any : status.details()) {
    if (any.UnpackTo(detail)) return true;
  }
  return false;
}
template <typename Detail>
bool GetDetail(const grpc::Status& status, Detail* detail) {
  google::rpc::Status proto;
  return proto.ParseFromString(status.error_details()) &&
         GetDetail(proto, detail);
}

}  // namespace braid::services

#endif  // BRAID_TESTS_SERVICES_TEST_SERVICE_H_
