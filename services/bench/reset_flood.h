// HTTP/2 "rapid reset" (CVE-2023-44487): streams opened and reset at once.
#ifndef BRAID_SERVICES_BENCH_RESET_FLOOD_H_
#define BRAID_SERVICES_BENCH_RESET_FLOOD_H_

#include <cstdint>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace braid::services {

struct FloodResult {
  uint64_t streams = 0;      // opened and reset
  uint64_t connections = 0;  // begun anew when the server closed one
  double seconds = 0;
};

// Opens calls of `path` (/braid.v1.RetrievalService/Search) at `address`
// (HOST:PORT, IPv4, plaintext) and resets each right after its headers, at
// `rate` streams a second or as many as the server takes, over one connection
// at a time. UNAVAILABLE if nobody listens there.
absl::StatusOr<FloodResult> FloodWithResets(const std::string& address,
                                            const std::string& path,
                                            double rate, absl::Duration length,
                                            const std::stop_token& stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_RESET_FLOOD_H_
