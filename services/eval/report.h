// The report of an evaluation as JSON: what `braid eval --json` prints.
#ifndef BRAID_SERVICES_EVAL_REPORT_H_
#define BRAID_SERVICES_EVAL_REPORT_H_

#include "services/eval/json.h"
#include "services/eval/result.h"

namespace braid::services {

// Adds to `report`:
//   runs.RUN.METRIC                 means over the judged queries
//   types.TYPE.queries, .runs       the same for each type of query, where the
//                                   set names types
void AddScores(const EvalResult& result, Json* report);

// Adds to `report`, where there is a leg:
//   significance.against            the better leg by nDCG@10
//   significance.resamples, .seed   of the bootstrap
//   significance.runs.RUN.METRIC    RUN minus that leg: {delta, low, high, p,
//                                   better, worse}, see significance.h
void AddSignificance(const EvalResult& result, Json* report);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_REPORT_H_
