#include "services/bench/search_load.h"

#include <braid/v1/retrieval_service.grpc.pb.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/eval/statistics.h"

namespace braid::services {
namespace {

constexpr int kChannels = 4;
// Beyond it the load would measure this process's memory.
constexpr int kMaxInFlight = 20'000;
constexpr absl::Duration kClosedDeadline = absl::Seconds(30);

bool AdvisesARetry(const grpc::ClientContext& context,
                   const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return false;
  google::rpc::RetryInfo retry;
  const bool info =
      std::any_of(details.details().begin(), details.details().end(),
                  [&](const auto& detail) { return detail.UnpackTo(&retry); });
  const auto& trailing = context.GetServerTrailingMetadata();
  return info && trailing.find("grpc-retry-pushback-ms") != trailing.end();
}

}  // namespace

Json ToJson(const LoadResult& result) {
  const Percentiles answered = ComputePercentiles(result.answered);
  Json json = {{"seconds", result.seconds},
               {"sent", result.sent},
               {"answered", result.answered.size()},
               {"answered_per_second", result.answered_per_second()},
               {"p50_ms", answered.p50},
               {"p95_ms", answered.p95},
               {"p99_ms", answered.p99},
               {"refused", result.refused},
               {"late", result.late},
               {"degraded", result.degraded},
               {"failed", result.failed}};
  if (result.refused > 0) {
    const Percentiles refusals = ComputePercentiles(result.refusals);
    json["refusal_p50_ms"] = refusals.p50;
    json["refusal_p99_ms"] = refusals.p99;
    json["refused_without_advice"] = result.unadvised;
  }
  if (result.unsent > 0) json["unsent"] = result.unsent;
  if (result.failed > 0) json["first_failure"] = result.first_failure;
  return json;
}

// The calls of one load. Outlives them.
class SearchLoad::Run {
 public:
  Run(const SearchLoad& load) : load_(load) {
    for (const auto& channel : load.channels_) {
      stubs_.push_back(v1::RetrievalService::NewStub(channel));
    }
  }

  // `again`: when this call has ended, the next one begins, until then.
  void Send(absl::Time due, absl::Duration deadline, absl::Time again) {
    if (in_flight_.fetch_add(1) >= kMaxInFlight) {
      in_flight_.fetch_sub(1);
      const absl::MutexLock lock(&mutex_);
      ++result_.unsent;
      return;
    }
    const uint64_t number = next_++;
    auto* call = new Call{.due = due, .again = again};
    call->context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    const auto& request = load_.requests_[number % load_.requests_.size()];
    stubs_[number % stubs_.size()]->async()->Search(
        &call->context, &request, &call->response,
        [this, call, deadline](const grpc::Status& status) {
          End(*call, status);
          const absl::Time repeat_until = call->again;
          delete call;
          const absl::Time now = absl::Now();
          if (now < repeat_until) Send(now, deadline, repeat_until);
          in_flight_.fetch_sub(1);
        });
  }

  LoadResult Finish(absl::Time start) {
    while (in_flight_ > 0) absl::SleepFor(absl::Milliseconds(1));
    const absl::MutexLock lock(&mutex_);
    result_.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    return std::move(result_);
  }

 private:
  struct Call {
    absl::Time due;
    absl::Time again;
    grpc::ClientContext context;
    v1::SearchResponse response;
  };

  void End(const Call& call, const grpc::Status& status) {
    const double elapsed = absl::ToDoubleMilliseconds(absl::Now() - call.due);
    const absl::MutexLock lock(&mutex_);
    ++result_.sent;
    switch (status.error_code()) {
      case grpc::StatusCode::OK:
        result_.answered.push_back(elapsed);
        result_.degraded += call.response.degraded_size() > 0;
        return;
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        ++result_.refused;
        result_.refusals.push_back(elapsed);
        result_.unadvised += !AdvisesARetry(call.context, status);
        return;
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        ++result_.late;
        return;
      default:
        if (result_.failed++ == 0) {
          result_.first_failure =
              absl::StrCat(static_cast<int>(status.error_code()), " ",
                           status.error_message());
        }
    }
  }

  const SearchLoad& load_;
  std::vector<std::unique_ptr<v1::RetrievalService::Stub>> stubs_;
  std::atomic<uint64_t> next_ = 0;
  std::atomic<int> in_flight_ = 0;
  absl::Mutex mutex_;
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
};

SearchLoad::SearchLoad(const std::string& address,
                       std::vector<v1::SearchRequest> requests)
    : requests_(std::move(requests)) {
  for (int i = 0; i < kChannels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channels_.push_back(grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments));
  }
}

SearchLoad::~SearchLoad() = default;

LoadResult SearchLoad::RunClosed(int callers, absl::Duration length,
                                 const std::stop_token& stop) {
  Run run(*this);
  const absl::Time start = absl::Now();
  const absl::Time end = stop.stop_requested() ? start : start + length;
  for (int i = 0; i < callers; ++i) run.Send(start, kClosedDeadline, end);
  return run.Finish(start);
}

LoadResult SearchLoad::RunOpen(double rate, absl::Duration length,
                               absl::Duration deadline,
                               const std::stop_token& stop) {
  Run run(*this);
  const absl::Time start = absl::Now();
  const auto total =
      static_cast<uint64_t>(rate * absl::ToDoubleSeconds(length));
  for (uint64_t i = 0; i < total && !stop.stop_requested(); ++i) {
    const absl::Time due = start + absl::Seconds(static_cast<double>(i) / rate);
    absl::SleepFor(due - absl::Now());
    run.Send(due, deadline, absl::InfinitePast());
  }
  return run.Finish(start);
}

}  // namespace braid::services
