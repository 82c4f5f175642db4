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

}  // namespace

RankingMetrics EvaluateRanking(absl::Span<const std::string> ranking,
                               const Judgements& judgements) {
  RankingMetrics metrics;
  const size_t relevant = static_cast<size_t>(
      std::count_if(judgements.begin(), judgements.end(),
                    [](const auto& entry) { return entry.second > 0; }));
  if (relevant == 0) return metrics;

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
    if (rank <= kNdcgDepth) gain += judged->second / Discount(rank);
    if (rank <= kMapDepth) reciprocal_sum += 1.0 / static_cast<double>(rank);
    if (rank <= 4) metrics.hits_4 = 1;
    if (rank <= 10) metrics.hits_10 = 1;
    if (found == 1 && rank <= kMrrDepth) {
      metrics.mrr_10 = 1.0 / static_cast<double>(rank);
    }
  }
  metrics.ndcg_10 = gain / IdealGain(judgements);
  metrics.recall_100 =
      static_cast<double>(found) / static_cast<double>(relevant);
  metrics.map_10 =
      reciprocal_sum / static_cast<double>(std::min(relevant, kMapDepth));
  return metrics;
}

RunEvaluation EvaluateRun(const Rankings& run, const Qrels& qrels) {
  RunEvaluation evaluation;
  RankingMetrics& sum = evaluation.mean;
  for (const auto& [query, judgements] : qrels) {
    const bool has_relevant =
        std::any_of(judgements.begin(), judgements.end(),
                    [](const auto& entry) { return entry.second > 0; });
    if (!has_relevant) continue;
    ++evaluation.judged;
    const auto ranking = run.find(query);
    if (ranking == run.end()) {
      ++evaluation.missing;
      continue;
    }
    const RankingMetrics one = EvaluateRanking(ranking->second, judgements);
    sum.ndcg_10 += one.ndcg_10;
    sum.recall_100 += one.recall_100;
    sum.mrr_10 += one.mrr_10;
    sum.hits_4 += one.hits_4;
    sum.hits_10 += one.hits_10;
    sum.map_10 += one.map_10;
  }
  if (evaluation.judged == 0) return evaluation;
  const double count = static_cast<double>(evaluation.judged);
  for (double* value : {&sum.ndcg_10, &sum.recall_100, &sum.mrr_10, &sum.hits_4,
                        &sum.hits_10, &sum.map_10}) {
    *value /= count;
  }
  return evaluation;
}

}  // namespace braid::services
