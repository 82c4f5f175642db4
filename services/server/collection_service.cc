#include <algorithm>
#include <utility>

#include "braid/v1/collection_service.grpc.pb.h"
#include "services/server/convert.h"
#include "services/server/errors.h"
#include "services/server/page_token.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

absl::Status Describe(const Call& call,
                      const retrieval::CollectionConfig& config,
                      const retrieval::StoreSnapshot& snapshot,
                      v1::Collection* proto) {
  const auto counters = snapshot.Counters(config.id);
  if (!counters.ok()) return counters.status();
  const auto indexes = call.runtime().backend().DescribeIndexes(config.id);
  if (!indexes.ok()) return indexes.status();
  ToProto(config, *counters, *indexes, ViewerIn(config, call.principal()),
          proto);
  return absl::OkStatus();
}

absl::Status Describe(const Call& call, const std::string& collection,
                      v1::Collection* proto) {
  retrieval::Store* const store = call.runtime().backend().store();
  const auto config = store->GetCollection(collection);
  if (!config.ok()) return CollectionError(config.status());
  return Describe(call, *config, *store->snapshot(), proto);
}

absl::Status Create(const Call& call,
                    const v1::CreateCollectionRequest& request,
                    v1::CreateCollectionResponse* response) {
  auto config = Parse(request, call.limits());
  if (!config.ok()) return config.status();
  absl::Status status = call.runtime().backend().CreateCollection(*config);
  if (absl::IsInvalidArgument(status)) {
    // Everything else was checked: only the stemmer can be missing.
    return InvalidFields({{"language", std::string(status.message())}});
  }
  if (absl::IsAlreadyExists(status)) {
    return WithReason(status, "COLLECTION_ALREADY_EXISTS");
  }
  if (!status.ok()) return status;
  return Describe(call, config->id, response->mutable_collection());
}

absl::Status Get(const Call& call, const v1::GetCollectionRequest& request,
                 v1::GetCollectionResponse* response) {
  const auto collection =
      ParseCollection("name", request.name(), call.limits());
  if (!collection.ok()) return collection.status();
  return Describe(call, *collection, response->mutable_collection());
}

absl::Status List(const Call& call, const v1::ListCollectionsRequest& request,
                  v1::ListCollectionsResponse* response) {
  const auto page = Parse(request, call.limits());
  if (!page.ok()) return page.status();
  auto configs = call.runtime().backend().store()->ListCollections();
  if (!configs.ok()) return configs.status();
  const auto snapshot = call.runtime().backend().store()->snapshot();
  auto config = std::upper_bound(
      configs->begin(), configs->end(), page->after,
      [](const std::string& after, const retrieval::CollectionConfig& c) {
        return after < c.id;
      });
  std::string last;  // of those that were listed: a token names no other
  for (; config != configs->end(); ++config) {
    if (!call.principal().May(auth::Role::kReader, config->id)) continue;
    if (response->collections_size() == static_cast<int>(page->size)) {
      response->set_next_page_token(MakePageToken(kCollectionsPageScope, last));
      break;
    }
    absl::Status status = call.Alive();
    if (!status.ok()) return status;
    status = Describe(call, *config, *snapshot, response->add_collections());
    if (absl::IsNotFound(status)) {
      // Deleted meanwhile.
      response->mutable_collections()->RemoveLast();
      continue;
    }
    if (!status.ok()) return status;
    last = config->id;
  }
  return absl::OkStatus();
}

absl::Status Delete(const Call& call,
                    const v1::DeleteCollectionRequest& request,
                    v1::DeleteCollectionResponse*) {
  const auto collection =
      ParseCollection("name", request.name(), call.limits());
  if (!collection.ok()) return collection.status();
  // Before, to stop its work; after, because a stream may have made a new one
  // meanwhile that knows the old configuration.
  call.runtime().DropPipeline(*collection);
  const absl::Status status =
      call.runtime().backend().DeleteCollection(*collection);
  call.runtime().DropPipeline(*collection);
  return CollectionError(status);
}

class CollectionService final : public v1::CollectionService::CallbackService {
 public:
  explicit CollectionService(ServerCore* core) : core_(core) {}

  grpc::ServerUnaryReactor* CreateCollection(
      grpc::CallbackServerContext* context,
      const v1::CreateCollectionRequest* request,
      v1::CreateCollectionResponse* response) override {
    return UnaryCall<v1::CreateCollectionRequest,
                     v1::CreateCollectionResponse>::
        Start(core_, &core_->lookups, context,
              "CollectionService/CreateCollection", request, response, Create);
  }
  grpc::ServerUnaryReactor* GetCollection(
      grpc::CallbackServerContext* context,
      const v1::GetCollectionRequest* request,
      v1::GetCollectionResponse* response) override {
    return UnaryCall<v1::GetCollectionRequest, v1::GetCollectionResponse>::
        Start(core_, &core_->lookups, context,
              "CollectionService/GetCollection", request, response, Get);
  }
  grpc::ServerUnaryReactor* ListCollections(
      grpc::CallbackServerContext* context,
      const v1::ListCollectionsRequest* request,
      v1::ListCollectionsResponse* response) override {
    return UnaryCall<v1::ListCollectionsRequest, v1::ListCollectionsResponse>::
        Start(core_, &core_->lookups, context,
              "CollectionService/ListCollections", request, response, List);
  }
  grpc::ServerUnaryReactor* DeleteCollection(
      grpc::CallbackServerContext* context,
      const v1::DeleteCollectionRequest* request,
      v1::DeleteCollectionResponse* response) override {
    return UnaryCall<v1::DeleteCollectionRequest,
                     v1::DeleteCollectionResponse>::
        Start(core_, &core_->lookups, context,
              "CollectionService/DeleteCollection", request, response, Delete);
  }

 private:
  ServerCore* const core_;
};

}  // namespace

absl::Status CollectionError(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return WithReason(status, "COLLECTION_NOT_FOUND");
}

std::unique_ptr<grpc::Service> MakeCollectionService(ServerCore* core) {
  return std::make_unique<CollectionService>(core);
}

}  // namespace braid::services
