// Where a measurement was taken: printed with every one.
#ifndef BRAID_SERVICES_BENCH_MACHINE_H_
#define BRAID_SERVICES_BENCH_MACHINE_H_

#include <cstdint>

#include "services/eval/json.h"

namespace braid::services {

// CPU model, cores, kernel target, load averages, and `threads`.
Json DescribeMachine(int threads);

// Forgets the peak so far; false where the system does not allow it (then the
// peak is the process's since its start).
bool ResetPeakResidentBytes();
uint64_t PeakResidentBytes();
// What no file backs: heap and stacks. Pages of mapped files are the page
// cache's, which the system takes back when it needs them.
uint64_t AnonymousBytes();

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_MACHINE_H_
