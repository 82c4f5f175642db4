#include "services/eval/report.h"

#include <vector>

namespace braid::services {

void AddScores(const EvalResult& result, Json* report) {
  for (const ResultRun& run : result.runs) {
    (*report)["runs"][run.name] = ToJson(MeanMetrics(run.scores));
  }
  for (const auto& [type, members] : GroupByType(result.queries)) {
    Json& group = (*report)["types"][type];
    group["queries"] = members.size();
    for (const ResultRun& run : result.runs) {
      std::vector<QueryScores> scores;
      scores.reserve(members.size());
      for (const size_t index : members) scores.push_back(run.scores[index]);
      group["runs"][run.name] = ToJson(MeanMetrics(scores));
    }
  }
}

}  // namespace braid::services
