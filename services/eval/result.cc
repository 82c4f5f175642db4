#include "services/eval/result.h"

#include <algorithm>

namespace braid::services {

const ResultRun* FindRun(const EvalResult& result, const std::string& name) {
  for (const ResultRun& run : result.runs) {
    if (run.name == name) return &run;
  }
  return nullptr;
}

const ResultRun& FinalRun(const EvalResult& result) {
  return *FindRun(result, result.final_run);
}

const ResultRun* BetterLeg(const EvalResult& result) {
  const ResultRun* bm25 = FindRun(result, "bm25");
  const ResultRun* dense = FindRun(result, "dense");
  if (bm25 == nullptr || dense == nullptr) {
    return bm25 == nullptr ? dense : bm25;
  }
  return MeanMetrics(dense->scores).ndcg_10 > MeanMetrics(bm25->scores).ndcg_10
             ? dense
             : bm25;
}

std::vector<double> ScoresOf(const ResultRun& run, const MetricField& field) {
  std::vector<double> scores;
  scores.reserve(run.scores.size());
  for (const QueryScores& query : run.scores) {
    scores.push_back(query.metrics.*field.value);
  }
  return scores;
}

std::string TypeGroup(const std::string& type) {
  const std::string group = type.substr(0, type.find('/'));
  return group.empty() ? "other" : group;
}

std::map<std::string, std::vector<size_t>> GroupByType(
    const std::vector<ResultQuery>& queries) {
  std::map<std::string, std::vector<size_t>> groups;
  if (std::all_of(queries.begin(), queries.end(), [](const ResultQuery& query) {
        return query.type.empty();
      })) {
    return groups;
  }
  for (size_t i = 0; i < queries.size(); ++i) {
    groups[TypeGroup(queries[i].type)].push_back(i);
  }
  return groups;
}

}  // namespace braid::services
