// JSON of reports.
#ifndef BRAID_SERVICES_EVAL_JSON_H_
#define BRAID_SERVICES_EVAL_JSON_H_

#include <nlohmann/json.hpp>

#include "services/eval/metrics.h"
#include "services/eval/significance.h"
#include "services/eval/statistics.h"

namespace braid::services {

// Fields stand in the order of writing, which reads better than the alphabet.
using Json = nlohmann::ordered_json;

inline Json ToJson(const Percentiles& percentiles) {
  return {{"p50", percentiles.p50},
          {"p95", percentiles.p95},
          {"p99", percentiles.p99}};
}

inline Json ToJson(const RankingMetrics& metrics) {
  Json json;
  for (const MetricField& field : MetricFields()) {
    json[field.name] = metrics.*field.value;
  }
  return json;
}

// The difference of means, its 95 % interval, p, and how many queries changed.
inline Json ToJson(const PairedDifference& difference) {
  return {{"delta", difference.mean},         {"low", difference.interval.low},
          {"high", difference.interval.high}, {"p", difference.p},
          {"better", difference.better},      {"worse", difference.worse}};
}

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_JSON_H_
