#include <chrono>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "braid/v1/retrieval_service.grpc.pb.h"
#include "services/auth/reader_names.h"
#include "services/server/convert.h"
#include "services/server/embed.h"
#include "services/server/errors.h"
#include "services/server/search_checks.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

// Fills what the edge does not know.
void Prepare(Call& call, PipelineQuery* query) {
  query->query.deadline = call.deadline();
  query->query.stop = call.stop();
  query->begin = std::chrono::steady_clock::now();
  query->on_stage = [&call, begin = *query->begin](const StageTime& stage) {
    call.record().AddStage(stage.stage, begin, stage.start, stage.elapsed);
  };
}

void Fill(Call& call, const PipelineQuery& query, bool explain,
          const PipelineResult& found, v1::SearchResponse* response) {
  uint32_t rank = 0;
  for (const FoundPassage& passage : found.passages) {
    ToProto(query.query.collection, passage, ++rank, explain,
            response->add_passages());
  }
  response->set_sequence(found.sequence);
  for (const StageTime& stage : found.stages) {
    ToProto(stage, response->add_stages());
  }
  for (const std::string& name : found.degraded) {
    response->add_degraded(name);
    call.core().metrics.CountDegraded(name);
  }
}

absl::Status Search(Call& call, const v1::SearchRequest& request,
                    v1::SearchResponse* response) {
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  absl::Status status = CheckSequence(call.runtime(), query->query);
  if (!status.ok()) return status;
  query->query.viewer =
      auth::ViewerOf(call.principal(), query->query.collection);
  Prepare(call, &*query);
  const auto found =
      RunSearch(call.runtime().backend(), call.runtime().reranker(), *query);
  if (!found.ok()) return CollectionError(found.status());
  Fill(call, *query, request.explain(), *found, response);
  return absl::OkStatus();
}

absl::Status LayOut(Call& call, const v1::BuildContextRequest& request,
                    v1::BuildContextResponse* response) {
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  Prepare(call, &query->search);
  const auto context = BuildLocalContext(
      call, *query, [](const PipelineResult&) { return true; });
  if (!context.ok()) return CollectionError(context.status());
  Fill(call, query->search, request.search().explain(), context->found,
       response->mutable_search());
  for (const ContextPassage& passage : context->passages) {
    ToProto(query->search.query.collection, passage, response->add_passages());
  }
  return absl::OkStatus();
}

class RetrievalService final : public v1::RetrievalService::CallbackService {
 public:
  explicit RetrievalService(ServerCore* core) : core_(core) {}

  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context,
                                   const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override {
    return UnaryCall<v1::SearchRequest, v1::SearchResponse>::Start(
        core_, &core_->searches, context, "RetrievalService/Search", request,
        response, services::Search);
  }
  grpc::ServerUnaryReactor* BuildContext(
      grpc::CallbackServerContext* context,
      const v1::BuildContextRequest* request,
      v1::BuildContextResponse* response) override {
    return UnaryCall<v1::BuildContextRequest, v1::BuildContextResponse>::Start(
        core_, &core_->searches, context, "RetrievalService/BuildContext",
        request, response, LayOut);
  }
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const v1::EmbedRequest* request,
                                  v1::EmbedResponse* response) override {
    return UnaryCall<v1::EmbedRequest, v1::EmbedResponse>::Start(
        core_, &core_->searches, context, "RetrievalService/Embed", request,
        response, services::Embed);
  }

 private:
  ServerCore* const core_;
};

}  // namespace

absl::Status CheckSequence(Runtime& runtime, const retrieval::Query& query) {
  if (query.wait_for_sequence == 0) return absl::OkStatus();
  const auto counters =
      runtime.backend().store()->snapshot()->Counters(query.collection);
  if (!counters.ok()) return CollectionError(counters.status());
  if (query.wait_for_sequence <= counters->last_sequence) {
    return absl::OkStatus();
  }
  return InvalidFields({{"wait_for_sequence",
                         absl::StrCat("the newest write of this collection is ",
                                      counters->last_sequence)}});
}

absl::StatusOr<Context> BuildLocalContext(const Call& call, ContextQuery query,
                                          const FoundSink& on_found) {
  Runtime& runtime = call.runtime();
  absl::Status status = CheckSequence(runtime, query.search.query);
  if (!status.ok()) return status;
  const auto collection =
      runtime.backend().store()->GetCollection(query.search.query.collection);
  if (!collection.ok()) return collection.status();
  query.parent_tokens = collection->chunking.parent_tokens;
  query.search.query.viewer = ViewerIn(*collection, call.principal());
  return BuildContext(runtime.backend(), runtime.reranker(), query, on_found);
}

std::unique_ptr<grpc::Service> MakeRetrievalService(ServerCore* core) {
  return std::make_unique<RetrievalService>(core);
}

}  // namespace braid::services
