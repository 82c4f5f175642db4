// What an evaluation found: every run's scores, query by query.
#ifndef BRAID_SERVICES_EVAL_RESULT_H_
#define BRAID_SERVICES_EVAL_RESULT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "services/eval/metrics.h"

namespace braid::services {

// A judged query: one with a relevant document.
struct ResultQuery {
  std::string id;
  std::string text;  // empty for one that is judged but was not asked
  std::string type;  // as the set names it; empty if it does not
};

struct ResultRun {
  std::string name;                 // bm25, dense, rrf, fused, reranked
  std::vector<QueryScores> scores;  // parallel to EvalResult::queries
};

struct EvalResult {
  std::string dataset;               // as it was named
  uint64_t rows = 0;                 // of the corpus
  std::string judgements;            // JudgementsFingerprint
  std::vector<ResultQuery> queries;  // sorted by id
  std::vector<ResultRun> runs;
  std::string final_run;  // the one of `runs` that a search returns
};

// Null if there is none of the name.
const ResultRun* FindRun(const EvalResult& result, const std::string& name);

// The run `final_run`, which must be there.
const ResultRun& FinalRun(const EvalResult& result);

// The better leg by mean nDCG@10, bm25 where they are equal. Null without legs.
const ResultRun* BetterLeg(const EvalResult& result);

// One metric of every query of a run.
std::vector<double> ScoresOf(const ResultRun& run, const MetricField& field);

// `hotpot` of `hotpot/bridge`: the part of a type that results are broken down
// by. `other` for none.
std::string TypeGroup(const std::string& type);

// Indices into `queries` of each group; empty if no query has a type.
std::map<std::string, std::vector<size_t>> GroupByType(
    const std::vector<ResultQuery>& queries);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_RESULT_H_
