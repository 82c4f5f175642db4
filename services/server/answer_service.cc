#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "braid/v1/answer_service.grpc.pb.h"
#include "services/gateway/remote_answerer.h"
#include "services/gateway/remote_context.h"
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
    retrieved->set_sequence(result->sequence);
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

const char* NameOf(generation::FinishReason reason) {
  switch (reason) {
    case generation::FinishReason::kStop:
      return "stop";
    case generation::FinishReason::kLength:
      return "length";
    case generation::FinishReason::kAbstained:
      return "abstained";
    case generation::FinishReason::kCancelled:
      return "cancelled";
    case generation::FinishReason::kDeadline:
      return "deadline";
  }
  return "";
}

// What metrics and trace want of each event.
class EventRecorder {
 public:
  EventRecorder(Call* call, std::chrono::steady_clock::time_point begin)
      : call_(call), begin_(begin) {}

  void Record(const PipelineEvent& event) {
    telemetry::Metrics& metrics = call_->core().metrics;
    if (const auto* stage = std::get_if<StageTime>(&event)) {
      call_->record().AddStage(stage->stage, begin_, stage->start,
                               stage->elapsed);
    } else if (const auto* usage =
                   std::get_if<generation::AnswerUsage>(&event)) {
      metrics.CountGeneratedTokens(usage->completion_tokens);
    } else if (const auto* end = std::get_if<AnswerEnd>(&event)) {
      metrics.CountAnswer(NameOf(end->finish_reason));
      ended_ = true;
      for (const std::string& name : end->degraded) metrics.CountDegraded(name);
    }
  }
  // An answer that was cancelled has no end.
  void RecordStatus(const absl::Status& status) {
    if (ended_ || !absl::IsCancelled(status)) return;
    call_->core().metrics.CountAnswer(
        NameOf(generation::FinishReason::kCancelled));
  }

 private:
  Call* const call_;
  const std::chrono::steady_clock::time_point begin_;
  bool ended_ = false;
};

// In this process, or in the one that has the documents.
absl::StatusOr<Context> FindContext(Call& call, const ContextQuery& query,
                                    const FoundSink& on_found) {
  if (call.core().upstreams.retrieval != nullptr) {
    return BuildRemoteContext(call, query, on_found);
  }
  std::optional<Turns::Turn> turn(std::in_place, &call.core().answer_searches,
                                  [&call] { return call.Alive().ok(); });
  if (!*turn) return call.Alive();
  return BuildLocalContext(call, query, [&](const PipelineResult& found) {
    // A reader may be slow to take what was found: others search meanwhile.
    turn.reset();
    return on_found(found);
  });
}

absl::Status Produce(const v1::AnswerRequest& request, AnswerStream& stream) {
  Call& call = stream.call();
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  query->search.query.deadline = call.deadline();
  query->search.query.stop = call.stop();
  query->search.begin = std::chrono::steady_clock::now();
  const EventWriter writer(request, query->search.query.collection);
  EventRecorder recorder(&call, *query->search.begin);
  RemoteAnswerer remote(&call);
  generation::Answerer& answerer = call.core().upstreams.generation != nullptr
                                       ? remote
                                       : call.runtime().answerer();
  const absl::Status status = RunAnswer(
      [&call](const ContextQuery& context, const FoundSink& on_found) {
        return FindContext(call, context, on_found);
      },
      answerer, *query,
      [&](const PipelineEvent& event) {
        recorder.Record(event);
        return stream.Send(writer.Write(event));
      });
  recorder.RecordStatus(status);
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
