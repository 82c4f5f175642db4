// What the system says about this process. 0 where it does not tell.
#ifndef BRAID_SERVICES_TELEMETRY_PROCESS_FIGURES_H_
#define BRAID_SERVICES_TELEMETRY_PROCESS_FIGURES_H_

#include <cstdint>

namespace braid::services::telemetry {

uint64_t ResidentBytes();
// User and system time of all threads.
double CpuSeconds();
uint64_t OpenFileDescriptors();
// Since the Unix epoch.
double StartTimeSeconds();

}  // namespace braid::services::telemetry

#endif  // BRAID_SERVICES_TELEMETRY_PROCESS_FIGURES_H_
