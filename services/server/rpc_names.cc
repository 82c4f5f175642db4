#include "services/server/rpc_names.h"

#include "absl/strings/str_cat.h"
#include "braid/v1/admin_service.grpc.pb.h"
#include "braid/v1/answer_service.grpc.pb.h"
#include "braid/v1/collection_service.grpc.pb.h"
#include "braid/v1/document_service.grpc.pb.h"
#include "braid/v1/generation_service.grpc.pb.h"
#include "braid/v1/operation_service.grpc.pb.h"
#include "braid/v1/retrieval_service.grpc.pb.h"
#include "google/protobuf/descriptor.h"

namespace braid::services {

std::vector<std::string> ServiceNames(const Roles& roles) {
  std::vector<std::string> names;
  if (roles.retrieval || roles.gateway) {
    names = {v1::CollectionService::service_full_name(),
             v1::DocumentService::service_full_name(),
             v1::RetrievalService::service_full_name(),
             v1::AdminService::service_full_name(),
             v1::OperationService::service_full_name()};
  }
  if (roles.generation || roles.gateway) {
    names.push_back(v1::GenerationService::service_full_name());
  }
  if (roles.gateway) names.push_back(v1::AnswerService::service_full_name());
  return names;
}

std::vector<std::string> RpcNames() {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  std::vector<std::string> names;
  for (const std::string& service_name : ServiceNames(Roles())) {
    const auto* service = pool->FindServiceByName(service_name);
    for (int i = 0; i < service->method_count(); ++i) {
      names.push_back(
          absl::StrCat(service->name(), "/", service->method(i)->name()));
    }
  }
  return names;
}

}  // namespace braid::services
