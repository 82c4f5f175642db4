#include <memory>
#include <utility>
#include <variant>

#include "braid/v1/answer_service.grpc.pb.h"
#include "services/server/convert.h"
#include "services/server/search_checks.h"
#include "services/server/services.h"
#include "services/server/stream_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

using AnswerStream = StreamCall<v1::AnswerResponse>;

// Turns each event of the pipeline into its message.
class EventWriter {
 public:
  EventWriter(const v1::AnswerRequest& request, std::string collection)
      : collection_(std::move(collection)), explain_(request.explain()) {}

  v1::AnswerResponse Write(const PipelineEvent& event) const {
    v1::AnswerResponse out;
    std::visit([&](const auto& e) { Fill(e, &out); }, event);
    return out;
  }

 private:
  void Fill(const StageTime& stage, v1::AnswerResponse* out) const {
    ToProto(stage, out->mutable_stage());
  }
  void Fill(const PipelineResult* result, v1::AnswerResponse* out) const {
    v1::RetrievedPassages* retrieved = out->mutable_retrieved();
    uint32_t rank = 0;
    for (const FoundPassage& found : result->passages) {
      ToProto(collection_, found, ++rank, explain_, retrieved->add_passages());
    }
    retrieved->set_sequence(result->view->sequence());
  }
  void Fill(const generation::AnswerDelta& delta,
            v1::AnswerResponse* out) const {
    out->set_delta(delta.text);
  }
  void Fill(const VerifiedCitation& citation, v1::AnswerResponse* out) const {
    ToProto(collection_, citation, out->mutable_citation());
  }
  void Fill(const generation::AnswerUsage& usage,
            v1::AnswerResponse* out) const {
    out->mutable_usage()->set_prompt_tokens(usage.prompt_tokens);
    out->mutable_usage()->set_completion_tokens(usage.completion_tokens);
  }
  void Fill(const AnswerEnd& end, v1::AnswerResponse* out) const {
    v1::AnswerFinal* final = out->mutable_final();
    final->set_finish_reason(ToProto(end.finish_reason));
    final->set_abstain_reason(end.abstain_reason);
    for (const std::string& name : end.degraded) final->add_degraded(name);
    final->set_rejected_citations(end.rejected_citations);
  }

  const std::string collection_;
  const bool explain_;
};

absl::Status Produce(const v1::AnswerRequest& request, AnswerStream& stream) {
  const Call& call = stream.call();
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  absl::Status status = CheckSequence(call.runtime(), query->search.query);
  if (!status.ok()) return status;
  const auto collection = call.runtime().backend().store()->GetCollection(
      query->search.query.collection);
  if (!collection.ok()) return CollectionError(collection.status());
  query->parent_tokens = collection->chunking.parent_tokens;
  query->search.query.deadline = call.deadline();
  query->search.query.stop = call.stop();
  const EventWriter writer(request, query->search.query.collection);
  status = RunAnswer(call.runtime(), *query, [&](const PipelineEvent& event) {
    return stream.Send(writer.Write(event));
  });
  return CollectionError(status);
}

class AnswerService final : public v1::AnswerService::CallbackService {
 public:
  explicit AnswerService(ServerCore* core) : core_(core) {}

  grpc::ServerWriteReactor<v1::AnswerResponse>* Answer(
      grpc::CallbackServerContext* context,
      const v1::AnswerRequest* request) override {
    // gRPC keeps the request until the stream is done.
    return AnswerStream::Start(
        core_, &core_->answers, context, "AnswerService/Answer", *request,
        core_->limits.default_answer_deadline,
        [request](AnswerStream& stream) { return Produce(*request, stream); });
  }

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAnswerService(ServerCore* core) {
  return std::make_unique<AnswerService>(core);
}

}  // namespace braid::services
