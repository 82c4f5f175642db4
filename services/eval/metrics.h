// Ranking metrics as trec_eval defines them.
#ifndef BRAID_SERVICES_EVAL_METRICS_H_
#define BRAID_SERVICES_EVAL_METRICS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace braid::services {

// Document id -> relevance score. Relevant means a score above 0.
using Judgements = std::map<std::string, int>;
// Query id -> its judgements.
using Qrels = std::map<std::string, Judgements>;
// Query id -> document ids, best first. Only the order counts: there are no
// scores, hence no ties.
using Rankings = std::map<std::string, std::vector<std::string>>;

// Values of one query, or their means.
struct RankingMetrics {
  double ndcg_10 = 0;     // linear gain; ideal from all judged documents
  double recall_50 = 0;   // relevant in the top 50 / all relevant
  double recall_100 = 0;  // relevant in the top 100 / all relevant
  double mrr_10 = 0;      // 1 / rank of the first relevant; 0 past rank 10
  double hits_4 = 0;      // 1 when one or more of the top 4 are relevant
  double hits_10 = 0;
  double all_10 = 0;  // 1 when every relevant document is in the top 10
  // As in the MultiHop-RAG paper's own script, not trec_eval's `map`: the sum
  // of 1 / rank over the relevant ones in the top 10, by min(relevant, 10).
  double map_10 = 0;
};

// A metric by the name that files use (`ndcg@10`) and the one that people read
// (`nDCG@10`).
struct MetricField {
  const char* name;
  const char* label;
  double RankingMetrics::*value;
};
// Every metric, in the order of reports. The first is nDCG@10.
absl::Span<const MetricField> MetricFields();

// Metrics of one ranking. A document that comes again counts at its first rank
// only. All 0 when nothing is relevant.
RankingMetrics EvaluateRanking(absl::Span<const std::string> ranking,
                               const Judgements& judgements);

struct QueryScores {
  RankingMetrics metrics;
  // Rank from 1 of the first relevant document in the top 100; 0 for none.
  size_t first_relevant = 0;
};

struct RunEvaluation {
  RankingMetrics mean;
  size_t judged = 0;   // queries with at least one relevant document
  size_t missing = 0;  // of those, queries the run lacks: they score 0
  // Of the judged queries, by id: as in JudgedQueries.
  std::vector<QueryScores> scores;
};

// Ids of the queries that have a relevant document, sorted.
std::vector<std::string> JudgedQueries(const Qrels& qrels);

// Means over the queries that have a relevant document. Queries of the run that
// are not judged are ignored.
RunEvaluation EvaluateRun(const Rankings& run, const Qrels& qrels);

// All 0 for no scores.
RankingMetrics MeanMetrics(absl::Span<const QueryScores> scores);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_METRICS_H_
