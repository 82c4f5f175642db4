#include "services/eval/comparison.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace braid::services {
namespace {

// Names come from a file and go into a message.
constexpr size_t kMaxShownId = 64;
constexpr size_t kMaxShownDataset = 256;

RunComparison CompareRuns(const ResultRun& before, const ResultRun& after) {
  RunComparison comparison;
  comparison.before = before.name;
  comparison.after = after.name;
  const RankingMetrics was = MeanMetrics(before.scores);
  const RankingMetrics is = MeanMetrics(after.scores);
  for (const MetricField& field : MetricFields()) {
    comparison.before_means.push_back(was.*field.value);
    comparison.after_means.push_back(is.*field.value);
  }
  comparison.differences = CompareScores(before.scores, after.scores);
  return comparison;
}

double Change(const ChangedQuery& query) {
  return query.after.metrics.ndcg_10 - query.before.metrics.ndcg_10;
}

void FindChanged(const ResultRun& before, const ResultRun& after,
                 const std::vector<ResultQuery>& queries,
                 Comparison* comparison) {
  // Less is rounding of what a file holds.
  constexpr double kLeast = 1e-9;
  for (size_t i = 0; i < queries.size(); ++i) {
    const ChangedQuery changed = {&queries[i], before.scores[i],
                                  after.scores[i]};
    if (Change(changed) > kLeast) comparison->improved.push_back(changed);
    if (Change(changed) < -kLeast) comparison->worsened.push_back(changed);
  }
  // Stable: among equals the order of the ids stands.
  const auto keep = [](std::vector<ChangedQuery>* list, double sign) {
    std::stable_sort(list->begin(), list->end(),
                     [sign](const ChangedQuery& a, const ChangedQuery& b) {
                       return sign * Change(a) > sign * Change(b);
                     });
    if (list->size() > kMaxChangedQueries) list->resize(kMaxChangedQueries);
  };
  keep(&comparison->improved, 1);
  keep(&comparison->worsened, -1);
}

Json ToJson(const RunComparison& run) {
  Json json;
  for (size_t i = 0; i < MetricFields().size(); ++i) {
    Json entry = {{"before", run.before_means[i]},
                  {"after", run.after_means[i]}};
    entry.update(ToJson(run.differences[i]));
    json[MetricFields()[i].name] = std::move(entry);
  }
  return json;
}

Json ToJson(const std::vector<ChangedQuery>& list) {
  Json json = Json::array();
  for (const ChangedQuery& changed : list) {
    json.push_back({{"query", changed.query->id},
                    {"text", changed.query->text},
                    {"type", changed.query->type},
                    {"before", changed.before.metrics.ndcg_10},
                    {"after", changed.after.metrics.ndcg_10},
                    {"first_relevant_before", changed.before.first_relevant},
                    {"first_relevant_after", changed.after.first_relevant}});
  }
  return json;
}

}  // namespace

absl::Status CheckSameSet(const EvalResult& before, const EvalResult& after,
                          const std::string& path) {
  const auto differ = [&](absl::string_view field, absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", field, ": ", what, " (the file is of \"",
                     before.dataset.substr(0, kMaxShownDataset),
                     "\"): only results of the same set can be compared"));
  };
  const auto shown = [](const ResultQuery& query) {
    return absl::StrCat("query \"", query.id.substr(0, kMaxShownId), "\"");
  };
  const size_t both = std::min(before.queries.size(), after.queries.size());
  for (size_t i = 0; i < both; ++i) {
    const ResultQuery& was = before.queries[i];
    const ResultQuery& is = after.queries[i];
    if (was.id != is.id) {
      const bool added = is.id < was.id;
      return differ("per_query",
                    absl::StrCat(shown(added ? is : was), " is ",
                                 added ? "not there" : "none of this set"));
    }
    if (was.text != is.text) {
      return differ("per_query", absl::StrCat(shown(is), " has another text"));
    }
  }
  if (before.queries.size() != after.queries.size()) {
    return differ("per_query",
                  absl::StrCat(before.queries.size(), " judged queries, not ",
                               after.queries.size()));
  }
  if (before.judgements != after.judgements) {
    return differ("judgements", "are not those of this set");
  }
  if (before.rows != after.rows) {
    return differ("rows", absl::StrCat("a corpus of ", before.rows,
                                       " rows, not ", after.rows));
  }
  if (after.queries.empty()) return differ("per_query", "no judged query");
  return absl::OkStatus();
}

absl::StatusOr<Comparison> Compare(const EvalResult& before,
                                   const EvalResult& after,
                                   const std::string& path) {
  const absl::Status same = CheckSameSet(before, after, path);
  if (!same.ok()) return same;
  Comparison comparison;
  for (const ResultRun& run : after.runs) {
    const ResultRun* was = FindRun(before, run.name);
    if (was != nullptr) comparison.runs.push_back(CompareRuns(*was, run));
  }
  const ResultRun& was = FinalRun(before);
  const ResultRun& is = FinalRun(after);
  comparison.final_run = CompareRuns(was, is);
  FindChanged(was, is, after.queries, &comparison);
  return comparison;
}

absl::Status CheckRegression(const Comparison& comparison, double max_drop) {
  const RunComparison& run = comparison.final_run;
  const PairedDifference& difference = run.differences.front();
  if (difference.mean >= 0) return absl::OkStatus();
  const bool significant = IsSignificant(difference);
  if (!significant && -difference.mean <= max_drop) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "nDCG@10 of the %s run fell by %.4f, from %.4f to %.4f (95 %% interval "
      "%+.4f to %+.4f, p %.4f): %s",
      run.after, -difference.mean, run.before_means.front(),
      run.after_means.front(), difference.interval.low,
      difference.interval.high, difference.p,
      -difference.mean > max_drop ? absl::StrFormat("more than %g", max_drop)
                                  : "significant"));
}

Json ToJson(const Comparison& comparison) {
  Json json;
  for (const RunComparison& run : comparison.runs) {
    json["runs"][run.after] = ToJson(run);
  }
  json["final"] = {{"before", comparison.final_run.before},
                   {"after", comparison.final_run.after}};
  json["final"].update(ToJson(comparison.final_run));
  json["improved"] = ToJson(comparison.improved);
  json["worsened"] = ToJson(comparison.worsened);
  return json;
}

}  // namespace braid::services
