// Whether a difference between two runs is more than chance.
//
// Paired bootstrap over queries. The interval is the percentile interval of the
// mean (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section
// 13.3). The p value is two-sided, by the shift method: the share of resampled
// mean differences, shifted so that their true mean is 0, that are at least as
// far from 0 as the one observed (Smucker, Allan and Carterette, A Comparison
// of Statistical Significance Tests for Information Retrieval Evaluation, CIKM
// 2007, section 2.4; Sakai, SIGIR 2006, studentises in addition). Interval and
// p come from the same resamples and can disagree only near .05, where the
// differences are skewed.
#ifndef BRAID_SERVICES_EVAL_SIGNIFICANCE_H_
#define BRAID_SERVICES_EVAL_SIGNIFICANCE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "services/eval/metrics.h"

namespace braid::services {

struct BootstrapOptions {
  uint32_t resamples = 10000;
  // The same seed and number of queries draw the same resamples on every
  // machine.
  uint32_t seed = 1;
};

// 95 %.
struct Interval {
  double low = 0;
  double high = 0;
};

struct PairedDifference {
  double mean = 0;  // of after - before
  Interval interval;
  double p = 1;  // never 0: at least 1 / (resamples + 1)
  // Queries that changed by more than rounding.
  uint64_t better = 0;
  uint64_t worse = 0;
};

// The interval of the mean of `values`; 0 to 0 for none.
Interval BootstrapMean(absl::Span<const double> values,
                       const BootstrapOptions& options = {});

// Value i of both is of the same query; both have the same size. A difference
// of 0 with p 1 for none.
PairedDifference PairedBootstrap(absl::Span<const double> before,
                                 absl::Span<const double> after,
                                 const BootstrapOptions& options = {});

// The same for every metric, parallel to MetricFields(), from the same
// resamples of the queries.
std::vector<PairedDifference> CompareScores(
    absl::Span<const QueryScores> before, absl::Span<const QueryScores> after,
    const BootstrapOptions& options = {});

// Whether 0 lies outside of the interval.
bool IsSignificant(const PairedDifference& difference);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_SIGNIFICANCE_H_
