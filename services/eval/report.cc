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

void AddSignificance(const EvalResult& result, Json* report) {
  const ResultRun* leg = BetterLeg(result);
  if (leg == nullptr || result.queries.empty()) return;
  const BootstrapOptions options;
  Json& section = (*report)["significance"];
  section["against"] = leg->name;
  section["resamples"] = options.resamples;
  section["seed"] = options.seed;
  section["runs"] = Json::object();
  for (const ResultRun& run : result.runs) {
    if (&run == leg) continue;
    const std::vector<PairedDifference> differences =
        CompareScores(leg->scores, run.scores, options);
    for (size_t i = 0; i < differences.size(); ++i) {
      section["runs"][run.name][MetricFields()[i].name] =
          ToJson(differences[i]);
    }
  }
}

}  // namespace braid::services
