#include "services/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace braid::services {

Percentiles ComputePercentiles(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto at = [&samples](double fraction) {
    const double rank =
        std::ceil(fraction * static_cast<double>(samples.size()));
    const size_t index = rank < 1 ? 0 : static_cast<size_t>(rank) - 1;
    return samples[std::min(index, samples.size() - 1)];
  };
  return {at(0.50), at(0.95), at(0.99)};
}

}  // namespace braid::services
