// Searches sent to a server over the network, at a rate or as fast as it takes.
#ifndef BRAID_SERVICES_BENCH_SEARCH_LOAD_H_
#define BRAID_SERVICES_BENCH_SEARCH_LOAD_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "braid/v1/retrieval_service.pb.h"
#include "services/eval/json.h"

namespace braid::services {

// What became of the calls of one load.
struct LoadResult {
  uint64_t sent = 0;
  uint64_t unsent = 0;     // not begun: too many were in flight here
  uint64_t refused = 0;    // RESOURCE_EXHAUSTED
  uint64_t unadvised = 0;  // of these, without RetryInfo and pushback
  uint64_t late = 0;       // DEADLINE_EXCEEDED
  uint64_t degraded = 0;   // answered, with something left out
  uint64_t failed = 0;     // any other error
  std::string first_failure;
  // Milliseconds from the moment a call was due. Of an open load that includes
  // what it waited to be sent.
  std::vector<double> answered;  // OK
  std::vector<double> refusals;
  double seconds = 0;  // until the last call had ended

  double answered_per_second() const {
    return static_cast<double>(answered.size()) / seconds;
  }
};

Json ToJson(const LoadResult& result);

class SearchLoad {
 public:
  // Over several connections, as clients have them. All requests are sent, one
  // after the other and again.
  SearchLoad(const std::string& address,
             std::vector<v1::SearchRequest> requests);
  ~SearchLoad();

  // `callers` that each wait for their answer before they ask again.
  LoadResult RunClosed(int callers, absl::Duration length,
                       const std::stop_token& stop);
  // A call every 1/rate seconds, whether or not earlier ones have been
  // answered: the load of many clients who know nothing of each other.
  LoadResult RunOpen(double rate, absl::Duration length,
                     absl::Duration deadline, const std::stop_token& stop);

 private:
  class Run;
  const std::vector<v1::SearchRequest> requests_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_SEARCH_LOAD_H_
