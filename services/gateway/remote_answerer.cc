#include "services/gateway/remote_answerer.h"

#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "braid/v1/generation_service.grpc.pb.h"
#include "services/gateway/upstreams.h"

namespace braid::services {
namespace {

v1::Answerer ToProto(generation::AnswererKind kind) {
  switch (kind) {
    case generation::AnswererKind::kExtractive:
      return v1::ANSWERER_EXTRACTIVE;
    case generation::AnswererKind::kGenerator:
      return v1::ANSWERER_GENERATOR;
    case generation::AnswererKind::kDefault:
      break;
  }
  return v1::ANSWERER_UNSPECIFIED;
}

v1::AnswerFromPassagesRequest ToProto(
    const generation::AnswerRequest& request) {
  v1::AnswerFromPassagesRequest proto;
  proto.set_question(request.question);
  for (const generation::GroundingPassage& passage : request.passages) {
    v1::GroundingPassage* added = proto.add_passages();
    added->set_title(passage.title);
    added->set_text(passage.text);
    added->set_score(passage.score);
  }
  proto.set_answerer(ToProto(request.answerer));
  proto.set_max_answer_tokens(static_cast<int32_t>(request.max_answer_tokens));
  v1::SamplingOptions* sampling = proto.mutable_sampling();
  sampling->set_temperature(request.sampling.temperature);
  sampling->set_top_k(request.sampling.top_k);
  sampling->set_top_p(request.sampling.top_p);
  sampling->set_seed(request.sampling.seed);
  return proto;
}

generation::FinishReason FromProto(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_LENGTH:
      return generation::FinishReason::kLength;
    case v1::FINISH_REASON_ABSTAINED:
      return generation::FinishReason::kAbstained;
    case v1::FINISH_REASON_CANCELLED:
      return generation::FinishReason::kCancelled;
    case v1::FINISH_REASON_DEADLINE:
      return generation::FinishReason::kDeadline;
    default:
      return generation::FinishReason::kStop;
  }
}

// Positions in a passage's text become positions in its document's. What points
// past its passage is left for the pipeline to refuse.
generation::AnswerCitation FromProto(const v1::PassageCitation& proto,
                                     const generation::AnswerRequest& request) {
  generation::AnswerCitation citation;
  citation.answer_begin = proto.answer_range().begin();
  citation.answer_end = proto.answer_range().end();
  citation.passage = proto.passage();
  const uint64_t base = citation.passage < request.passages.size()
                            ? request.passages[citation.passage].text_begin
                            : 0;
  citation.text_begin = base + proto.text_range().begin();
  citation.text_end = base + proto.text_range().end();
  citation.quote = proto.quote();
  return citation;
}

}  // namespace

absl::Status RemoteAnswerer::Answer(const generation::AnswerRequest& request,
                                    const generation::AnswerSink& sink,
                                    std::stop_token stop) {
  grpc::ClientContext context;
  absl::Status status = call_->Forward(request.deadline, &context);
  if (!status.ok()) return status;
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  const auto stub =
      v1::GenerationService::NewStub(call_->core().upstreams.generation);
  const auto stream = stub->AnswerFromPassages(&context, ToProto(request));
  v1::AnswerFromPassagesResponse event;
  bool wanted = true;
  while (wanted && stream->Read(&event)) {
    switch (event.event_case()) {
      case v1::AnswerFromPassagesResponse::kDelta:
        wanted =
            sink(generation::AnswerDelta{std::move(*event.mutable_delta())});
        break;
      case v1::AnswerFromPassagesResponse::kCitation:
        wanted = sink(FromProto(event.citation(), request));
        break;
      case v1::AnswerFromPassagesResponse::kUsage:
        wanted = sink(generation::AnswerUsage{
            event.usage().prompt_tokens(), event.usage().completion_tokens()});
        break;
      case v1::AnswerFromPassagesResponse::kFinal:
        wanted = sink(
            generation::AnswerFinal{FromProto(event.final().finish_reason()),
                                    event.final().abstain_reason()});
        break;
      case v1::AnswerFromPassagesResponse::EVENT_NOT_SET:
        break;  // of a newer version
    }
  }
  if (!wanted) context.TryCancel();
  status = UpstreamError(stream->Finish(), "generation");
  return wanted ? status : absl::CancelledError("the receiver is gone");
}

}  // namespace braid::services
