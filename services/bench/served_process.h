// A `braid serve` of its own, for measurements from outside.
#ifndef BRAID_SERVICES_BENCH_SERVED_PROCESS_H_
#define BRAID_SERVICES_BENCH_SERVED_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace braid::services {

// Another process of this program. Killed with its owner.
class ServedProcess {
 public:
  // Starts `braid serve` with `config_file` on a free port of the loopback
  // address and waits until it listens. Its standard error is this one's.
  static absl::StatusOr<std::unique_ptr<ServedProcess>> Start(
      const std::string& config_file);
  ~ServedProcess();
  ServedProcess(const ServedProcess&) = delete;
  ServedProcess& operator=(const ServedProcess&) = delete;

  const std::string& address() const { return address_; }

  uint64_t ResidentBytes() const;
  // Every sample of /metrics, by its name with labels.
  absl::StatusOr<std::map<std::string, double>> ReadMetrics() const;
  // SIGTERM, and its exit code.
  int Stop();

 private:
  ServedProcess() = default;
  absl::Status WaitUntilReady(int output);

  pid_t pid_ = -1;
  std::string address_;
  std::string metrics_address_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_SERVED_PROCESS_H_
