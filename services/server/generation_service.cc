#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "braid/v1/generation_service.grpc.pb.h"
#include "services/server/convert.h"
#include "services/server/errors.h"
#include "services/server/services.h"
#include "services/server/stream_call.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

using GenerateStream = StreamCall<v1::GenerateResponse>;

absl::Status Produce(const v1::GenerateRequest& request,
                     GenerateStream& stream) {
  const Call& call = stream.call();
  auto generation = Parse(request, call.limits());
  if (!generation.ok()) return generation.status();
  generation::Generator* generator = call.runtime().generator();
  if (generator == nullptr) {
    return WithReason(absl::FailedPreconditionError(
                          "no model is loaded: start the server with "
                          "model_directory"),
                      "NO_MODEL");
  }
  generation->deadline = call.deadline();
  bool sent = true;
  const auto result = generator->Generate(
      *generation,
      [&](absl::string_view delta) {
        v1::GenerateResponse message;
        message.set_delta(std::string(delta));
        sent = sent && stream.Send(std::move(message));
        return sent;
      },
      call.stop());
  if (absl::IsResourceExhausted(result.status())) {
    return WithRetry(WithReason(result.status(), "OVERLOADED"),
                     call.limits().retry_delay);
  }
  if (!result.ok()) return result.status();
  call.core().metrics.CountGeneratedTokens(result->completion_tokens);
  if (!sent || call.stop().stop_requested()) {
    return absl::CancelledError("the completion was cancelled");
  }
  v1::GenerateResponse message;
  v1::GenerateFinal* final = message.mutable_final();
  final->set_finish_reason(ToProto(result->finish_reason));
  final->mutable_usage()->set_prompt_tokens(result->prompt_tokens);
  final->mutable_usage()->set_completion_tokens(result->completion_tokens);
  if (stream.Send(std::move(message))) return absl::OkStatus();
  return absl::CancelledError("the completion was cancelled");
}

using PassageStream = StreamCall<v1::AnswerFromPassagesResponse>;

void Fill(const generation::AnswerDelta& delta,
          v1::AnswerFromPassagesResponse* out) {
  out->set_delta(delta.text);
}
void Fill(const generation::AnswerCitation& citation,
          v1::AnswerFromPassagesResponse* out) {
  v1::PassageCitation* proto = out->mutable_citation();
  proto->mutable_answer_range()->set_begin(citation.answer_begin);
  proto->mutable_answer_range()->set_end(citation.answer_end);
  proto->set_passage(static_cast<uint32_t>(citation.passage));
  proto->mutable_text_range()->set_begin(citation.text_begin);
  proto->mutable_text_range()->set_end(citation.text_end);
  proto->set_quote(citation.quote);
}
void Fill(const generation::AnswerUsage& usage,
          v1::AnswerFromPassagesResponse* out) {
  out->mutable_usage()->set_prompt_tokens(usage.prompt_tokens);
  out->mutable_usage()->set_completion_tokens(usage.completion_tokens);
}
void Fill(const generation::AnswerFinal& final,
          v1::AnswerFromPassagesResponse* out) {
  out->mutable_final()->set_finish_reason(ToProto(final.finish_reason));
  out->mutable_final()->set_abstain_reason(final.abstain_reason);
}

// A citation that says what is not so is the answerer's mistake and nobody's
// support.
bool IsTrue(const generation::AnswerCitation& citation,
            const generation::AnswerRequest& request) {
  if (citation.passage >= request.passages.size()) return false;
  const std::string& text = request.passages[citation.passage].text;
  return citation.text_begin < citation.text_end &&
         citation.text_end <= text.size() &&
         absl::string_view(text).substr(
             citation.text_begin, citation.text_end - citation.text_begin) ==
             citation.quote;
}

absl::Status Produce(const v1::AnswerFromPassagesRequest& request,
                     PassageStream& stream) {
  Call& call = stream.call();
  auto query = Parse(request, call.limits());
  if (!query.ok()) return query.status();
  query->deadline = call.deadline();
  bool sent = true;
  absl::Status status = call.runtime().answerer().Answer(
      *query,
      [&](const generation::AnswerEvent& event) {
        const auto* citation = std::get_if<generation::AnswerCitation>(&event);
        if (citation != nullptr && !IsTrue(*citation, *query)) return sent;
        if (const auto* usage = std::get_if<generation::AnswerUsage>(&event)) {
          call.core().metrics.CountGeneratedTokens(usage->completion_tokens);
        }
        v1::AnswerFromPassagesResponse message;
        std::visit([&](const auto& e) { Fill(e, &message); }, event);
        sent = sent && stream.Send(std::move(message));
        return sent;
      },
      call.stop());
  if (!sent || call.stop().stop_requested()) {
    return absl::CancelledError("the answer was cancelled");
  }
  return status;
}

class GenerationService final : public v1::GenerationService::CallbackService {
 public:
  explicit GenerationService(ServerCore* core) : core_(core) {}

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context,
      const v1::GenerateRequest* request) override {
    // gRPC keeps the request until the stream is done.
    return GenerateStream::Start(core_, &core_->answers, context,
                                 "GenerationService/Generate", *request,
                                 core_->limits.default_answer_deadline,
                                 [request](GenerateStream& stream) {
                                   return Produce(*request, stream);
                                 });
  }
  grpc::ServerWriteReactor<v1::AnswerFromPassagesResponse>* AnswerFromPassages(
      grpc::CallbackServerContext* context,
      const v1::AnswerFromPassagesRequest* request) override {
    return PassageStream::Start(
        core_, &core_->answers, context, "GenerationService/AnswerFromPassages",
        *request, core_->limits.default_answer_deadline,
        [request](PassageStream& stream) { return Produce(*request, stream); });
  }

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeGenerationService(ServerCore* core) {
  return std::make_unique<GenerationService>(core);
}

}  // namespace braid::services
