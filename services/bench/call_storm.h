// Calls that are cancelled or expire at any moment.
#ifndef BRAID_SERVICES_BENCH_CALL_STORM_H_
#define BRAID_SERVICES_BENCH_CALL_STORM_H_

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "services/eval/json.h"

namespace braid::services {

struct StormOptions {
  std::string address;
  std::string collection;  // its id
  std::vector<std::string> questions;
  uint64_t calls = 10'000;
  int callers = 32;
  // Also completions, which need a model.
  bool generate = false;
};

struct StormResult {
  uint64_t calls = 0;
  std::map<std::string, uint64_t> ended;  // by status code
  double seconds = 0;
};

// Searches, answers and completions in turn; each is cancelled by its caller,
// or has a deadline, between 0 and 30 ms after its beginning.
StormResult RunCallStorm(const StormOptions& options,
                         const std::stop_token& stop);

Json ToJson(const StormResult& result);

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_CALL_STORM_H_
