// How much each caller may ask for.
#ifndef BRAID_SERVICES_AUTH_QUOTAS_H_
#define BRAID_SERVICES_AUTH_QUOTAS_H_

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace braid::services::auth {

struct QuotaOptions {
  int max_in_flight = 0;        // calls at once; 0: unlimited
  double calls_per_second = 0;  // 0: unlimited
};

// A token bucket that holds one second's calls (and at least one), and a count
// of calls in flight, for each name. Thread-safe.
class Quotas {
 public:
  explicit Quotas(const QuotaOptions& options) : options_(options) {}

  // Zero if the call may begin: End must follow. Otherwise how long to wait
  // before asking again.
  absl::Duration Begin(absl::string_view name,
                       std::chrono::steady_clock::time_point now);
  void End(absl::string_view name);

  // Names that are remembered.
  size_t size() const;

 private:
  struct Usage {
    int in_flight = 0;
    double tokens = 0;
    std::chrono::steady_clock::time_point filled;
  };
  double Burst() const;
  // Forgets names whose bucket is full and that have no call.
  void Forget(std::chrono::steady_clock::time_point now);

  const QuotaOptions options_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, Usage> usage_;  // under mutex_
  size_t forget_at_ = 1024;                        // under mutex_
};

}  // namespace braid::services::auth

#endif  // BRAID_SERVICES_AUTH_QUOTAS_H_
