#include "services/eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace braid::services {
namespace {

constexpr size_t kNdcgDepth = 10;
constexpr size_t kRecallDepth = 100;
constexpr size_t kMrrDepth = 10;
constexpr size_t kMapDepth = 10;

constexpr MetricField kFields[] = {
    {"ndcg@10", "nDCG@10", &RankingMetrics::ndcg_10},
    {"recall@50", "Recall@50", &RankingMetrics::recall_50},
    {"recall@100", "Recall@100", &RankingMetrics::recall_100},
    {"mrr@10", "MRR@10", &RankingMetrics::mrr_10},
    {"hits@4", "Hits@4", &RankingMetrics::hits_4},
    {"hits@10", "Hits@10", &RankingMetrics::hits_10},
    {"all@10", "All@10", &RankingMetrics::all_10},
    {"map@10", "MAP@10", &RankingMetrics::map_10},
};

// Rank counts from 1.
double Discount(size_t rank) {
  return std::log2(static_cast<double>(rank) + 1.0);
}

double IdealGain(const Judgements& judgements) {
  std::vector<int> gains;
  for (const auto& [document, score] : judgements) {
    if (score > 0) gains.push_back(score);
  }
  std::sort(gains.begin(), gains.end(), std::greater<int>());
  double ideal = 0;
  for (size_t i = 0; i < std::min(gains.size(), kNdcgDepth); ++i) {
    ideal += gains[i] / Discount(i + 1);
  }
  return ideal;
}

size_t CountRelevant(const Judgements& judgements) {
  return static_cast<size_t>(
      std::count_if(judgements.begin(), judgements.end(),
                    [](const auto& entry) { return entry.second > 0; }));
}

QueryScores ScoreRanking(absl::Span<const std::string> ranking,
                         const Judgements& judgements) {
  QueryScores scores;
  RankingMetrics& metrics = scores.metrics;
  const size_t relevant = CountRelevant(judgements);
  if (relevant == 0) return scores;

  const double share = 1.0 / static_cast<double>(relevant);
  double gain = 0;
  double reciprocal_sum = 0;
  size_t found = 0;
  size_t rank = 0;
  std::set<std::string> seen;
  for (const std::string& document : ranking) {
    if (!seen.insert(document).second) continue;
    if (++rank > kRecallDepth) break;
    const auto judged = judgements.find(document);
    if (judged == judgements.end() || judged->second <= 0) continue;
    ++found;
    const double recall = static_cast<double>(found) * share;
    if (found == 1) scores.first_relevant = rank;
    if (rank <= kNdcgDepth) gain += judged->second / Discount(rank);
    if (rank <= kMapDepth) reciprocal_sum += 1.0 / static_cast<double>(rank);
    if (rank <= 4) metrics.hits_4 = 1;
    if (rank <= 10) metrics.hits_10 = 1;
    if (rank <= 10 && found == relevant) metrics.all_10 = 1;
    if (rank <= 50) metrics.recall_50 = recall;
    metrics.recall_100 = recall;
    if (found == 1 && rank <= kMrrDepth) {
      metrics.mrr_10 = 1.0 / static_cast<double>(rank);
    }
  }
  metrics.ndcg_10 = gain / IdealGain(judgements);
  metrics.map_10 =
      reciprocal_sum / static_cast<double>(std::min(relevant, kMapDepth));
  return scores;
}

}  // namespace

absl::Span<const MetricField> MetricFields() { return kFields; }

RankingMetrics EvaluateRanking(absl::Span<const std::string> ranking,
                               const Judgements& judgements) {
  return ScoreRanking(ranking, judgements).metrics;
}

std::vector<std::string> JudgedQueries(const Qrels& qrels) {
  std::vector<std::string> judged;
  for (const auto& [query, judgements] : qrels) {
    if (CountRelevant(judgements) > 0) judged.push_back(query);
  }
  return judged;
}

RunEvaluation EvaluateRun(const Rankings& run, const Qrels& qrels) {
  RunEvaluation evaluation;
  for (const std::string& query : JudgedQueries(qrels)) {
    ++evaluation.judged;
    const auto ranking = run.find(query);
    if (ranking == run.end()) {
      ++evaluation.missing;
      evaluation.scores.emplace_back();
      continue;
    }
    evaluation.scores.push_back(ScoreRanking(ranking->second, qrels.at(query)));
  }
  evaluation.mean = MeanMetrics(evaluation.scores);
  return evaluation;
}

RankingMetrics MeanMetrics(absl::Span<const QueryScores> scores) {
  RankingMetrics mean;
  if (scores.empty()) return mean;
  for (const MetricField& field : kFields) {
    double sum = 0;
    for (const QueryScores& one : scores) sum += one.metrics.*field.value;
    mean.*field.value = sum / static_cast<double>(scores.size());
  }
  return mean;
}

}  // namespace braid::services
