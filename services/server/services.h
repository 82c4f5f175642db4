// The services of braid.v1, one file each.
#ifndef BRAID_SERVICES_SERVER_SERVICES_H_
#define BRAID_SERVICES_SERVER_SERVICES_H_

#include <memory>

#include "grpcpp/impl/codegen/service_type.h"
#include "services/server/call.h"

namespace braid::services {

// `core` must outlive the service.
std::unique_ptr<grpc::Service> MakeCollectionService(ServerCore* core);
std::unique_ptr<grpc::Service> MakeDocumentService(ServerCore* core);
std::unique_ptr<grpc::Service> MakeRetrievalService(ServerCore* core);
std::unique_ptr<grpc::Service> MakeGenerationService(ServerCore* core);
std::unique_ptr<grpc::Service> MakeAnswerService(ServerCore* core);
std::unique_ptr<grpc::Service> MakeAdminService(ServerCore* core);
std::unique_ptr<grpc::Service> MakeOperationService(ServerCore* core);

// Gives NOT_FOUND of a collection its reason, COLLECTION_NOT_FOUND; other
// statuses pass.
absl::Status CollectionError(const absl::Status& status);

}  // namespace braid::services

#endif  // BRAID_SERVICES_SERVER_SERVICES_H_
