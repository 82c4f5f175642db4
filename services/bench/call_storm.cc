#include "services/bench/call_storm.h"

#include <braid/v1/answer_service.grpc.pb.h>
#include <braid/v1/generation_service.grpc.pb.h>
#include <braid/v1/retrieval_service.grpc.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace braid::services {
namespace {

constexpr unsigned int kMaxMicroseconds = 30'000;

class Caller {
 public:
  Caller(const StormOptions& options, unsigned int seed)
      : options_(options), random_(seed) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(
        options_.address, grpc::InsecureChannelCredentials(), arguments);
  }

  grpc::Status CallOnce(uint64_t number) {
    auto context = std::make_unique<grpc::ClientContext>();
    const absl::Duration wait =
        absl::Microseconds(random_() % kMaxMicroseconds);
    std::thread cancel;
    if (random_() % 2 == 0) {
      context->set_deadline(absl::ToChronoTime(absl::Now() + wait));
    } else {
      cancel = std::thread([&context, wait] {
        absl::SleepFor(wait);
        context->TryCancel();
      });
    }
    const grpc::Status status = Ask(number, context.get());
    if (cancel.joinable()) cancel.join();
    return status;
  }

 private:
  grpc::Status Ask(uint64_t number, grpc::ClientContext* context) {
    const std::string& question =
        options_.questions[number % options_.questions.size()];
    const std::string collection =
        absl::StrCat("collections/", options_.collection);
    switch (number % (options_.generate ? 3 : 2)) {
      case 0: {
        v1::SearchRequest request;
        request.set_collection(collection);
        request.set_query(question);
        v1::SearchResponse response;
        return v1::RetrievalService::NewStub(channel_)->Search(context, request,
                                                               &response);
      }
      case 1: {
        v1::AnswerRequest request;
        request.set_collection(collection);
        request.set_question(question);
        const auto stream =
            v1::AnswerService::NewStub(channel_)->Answer(context, request);
        v1::AnswerResponse event;
        while (stream->Read(&event)) {
        }
        return stream->Finish();
      }
      default: {
        v1::GenerateRequest request;
        request.set_prompt(question);
        request.set_max_tokens(1000);
        const auto stream = v1::GenerationService::NewStub(channel_)->Generate(
            context, request);
        v1::GenerateResponse event;
        while (stream->Read(&event)) {
        }
        return stream->Finish();
      }
    }
  }

  const StormOptions& options_;
  std::mt19937 random_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace

StormResult RunCallStorm(const StormOptions& options,
                         const std::stop_token& stop) {
  StormResult result;
  absl::Mutex mutex;
  std::atomic<uint64_t> next = 0;
  const absl::Time start = absl::Now();
  std::vector<std::thread> callers;
  for (int i = 0; i < options.callers; ++i) {
    callers.emplace_back([&, i] {
      Caller caller(options, static_cast<unsigned int>(i));
      while (!stop.stop_requested()) {
        const uint64_t number = next++;
        if (number >= options.calls) return;
        const grpc::Status status = caller.CallOnce(number);
        const absl::MutexLock lock(&mutex);
        ++result.calls;
        ++result.ended[absl::StatusCodeToString(
            static_cast<absl::StatusCode>(status.error_code()))];
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  result.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return result;
}

Json ToJson(const StormResult& result) {
  Json json = {{"calls", result.calls}, {"seconds", result.seconds}};
  for (const auto& [code, count] : result.ended) json["ended"][code] = count;
  return json;
}

}  // namespace braid::services
