// Percentiles of measured times.
#ifndef BRAID_SERVICES_EVAL_STATISTICS_H_
#define BRAID_SERVICES_EVAL_STATISTICS_H_

#include <vector>

namespace braid::services {

struct Percentiles {
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
};

// Nearest-rank percentiles: each is a value that was measured. All 0 for no
// samples.
Percentiles ComputePercentiles(std::vector<double> samples);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_STATISTICS_H_
