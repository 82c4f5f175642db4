#include <memory>
#include <utility>

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

 private:
  ServerCore* const core_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeGenerationService(ServerCore* core) {
  return std::make_unique<GenerationService>(core);
}

}  // namespace braid::services
