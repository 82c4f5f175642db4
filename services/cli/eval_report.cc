#include "services/cli/eval_report.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/terminal.h"
#include "services/eval/metrics.h"

namespace braid::services::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string Decimal(const Json& value) {
  return absl::StrFormat("%.4f", value.get<double>());
}

std::string FormatRuns(const Json& report) {
  Rows rows = {{"run"}};
  for (const MetricField& field : MetricFields()) {
    rows[0].push_back(field.label);
  }
  for (const auto& [name, metrics] : report["runs"].items()) {
    rows.push_back({name});
    for (const Json& value : metrics) rows.back().push_back(Decimal(value));
  }
  return FormatTable(rows);
}

// `+0.0123`.
std::string Signed(const Json& value) {
  return absl::StrFormat("%+.4f", value.get<double>());
}

// nDCG@10 of each run minus the better leg's.
std::string FormatSignificance(const Json& significance) {
  Rows rows = {{absl::StrCat("nDCG@10 minus ",
                             significance["against"].get<std::string>()),
                "difference", "95 % interval", "p", "better", "worse"}};
  for (const auto& [run, metrics] : significance["runs"].items()) {
    const Json& difference = metrics["ndcg@10"];
    rows.push_back({run, Signed(difference["delta"]),
                    absl::StrCat(Signed(difference["low"]), " to ",
                                 Signed(difference["high"])),
                    Decimal(difference["p"]), difference["better"].dump(),
                    difference["worse"].dump()});
  }
  return FormatTable(rows);
}

// nDCG@10 of each run for each type: the other metrics are in the JSON.
std::string FormatTypes(const Json& report) {
  Rows rows = {{"nDCG@10 by type", "queries"}};
  for (const auto& [run, metrics] : report["runs"].items()) {
    rows[0].push_back(run);
  }
  for (const auto& [type, group] : report["types"].items()) {
    rows.push_back({Snippet(type, 40), group["queries"].dump()});
    for (const auto& [run, metrics] : group["runs"].items()) {
      rows.back().push_back(Decimal(metrics["ndcg@10"]));
    }
  }
  return FormatTable(rows);
}

// A share, or `-` where there was nothing to take it of.
std::string ShareText(const Json& value) {
  return value.is_null() ? "-" : Decimal(value);
}

std::string FormatAnswers(const Json& answers) {
  const Json& answered = answers["answered"];
  Rows rows = {
      {absl::StrCat("answers by ",
                    Snippet(answers["answerer"].get<std::string>(), 40)),
       "questions", "exact match", "F1", "contains gold"},
      {"all with gold answers", answers["with_gold"].dump(),
       ShareText(answers["exact_match"]), ShareText(answers["f1"]),
       ShareText(answers["contains"])},
      {"not abstained", answered["questions"].dump(),
       ShareText(answered["exact_match"]), ShareText(answered["f1"]),
       ShareText(answered["contains"])}};
  const Json& citations = answers["citations"];
  Rows shares = {
      {"", "count", "precision", "recall", "F1"},
      {"citations", citations["count"].dump(),
       ShareText(citations["precision"]), ShareText(citations["recall"]), ""}};
  if (answers.contains("abstention")) {
    const Json& abstention = answers["abstention"];
    shares.push_back({"abstentions", abstention["abstained"].dump(),
                      ShareText(abstention["precision"]),
                      ShareText(abstention["recall"]),
                      ShareText(abstention["f1"])});
  }
  return absl::StrCat(FormatTable(rows), "\n", FormatTable(shares));
}

std::string FormatStages(const char* title, const Json& latency) {
  Rows rows = {{title, "p50 ms", "p95 ms", "p99 ms"}};
  for (const auto& [name, percentiles] : latency.items()) {
    rows.push_back({name});
    for (const Json& value : percentiles) {
      rows.back().push_back(absl::StrFormat("%.2f", value.get<double>()));
    }
  }
  return FormatTable(rows);
}

// Each run now and then.
std::string FormatComparison(const Json& compare) {
  Rows rows = {{"nDCG@10 since then", "before", "after", "difference",
                "95 % interval", "p", "better", "worse"}};
  const auto add = [&rows](const std::string& name, const Json& metric) {
    rows.push_back(
        {name, Decimal(metric["before"]), Decimal(metric["after"]),
         Signed(metric["delta"]),
         absl::StrCat(Signed(metric["low"]), " to ", Signed(metric["high"])),
         Decimal(metric["p"]), metric["better"].dump(),
         metric["worse"].dump()});
  };
  if (compare.contains("runs")) {
    for (const auto& [run, metrics] : compare["runs"].items()) {
      add(run, metrics["ndcg@10"]);
    }
  }
  const Json& final_run = compare["final"];
  const std::string before = final_run["before"].get<std::string>();
  const std::string after = final_run["after"].get<std::string>();
  if (before != after) {
    add(absl::StrCat(after, ", was ", Snippet(before, 40)),
        final_run["ndcg@10"]);
  }
  return FormatTable(rows);
}

// The queries that changed most, with the rank of the first relevant document.
std::string FormatChanged(const char* title, const Json& queries) {
  if (queries.empty()) return "";
  const auto rank = [](const Json& value) {
    return value == 0 ? std::string("-") : value.dump();
  };
  Rows rows = {{title, "before", "after", "rank before", "after", "question"}};
  for (const Json& query : queries) {
    rows.push_back({Snippet(query["query"].get<std::string>(), 40),
                    Decimal(query["before"]), Decimal(query["after"]),
                    rank(query["first_relevant_before"]),
                    rank(query["first_relevant_after"]),
                    Snippet(query["text"].get<std::string>(), 80)});
  }
  return absl::StrCat("\n", FormatTable(rows));
}

}  // namespace

std::string FormatEvalReport(const Json& report) {
  std::string text = absl::StrCat(
      PrintableText(report["dataset"].get<std::string>(), false), ": ",
      report["index"]["rows"].dump(), " rows, ", report["judged"].dump(),
      " judged queries\n\n", FormatRuns(report));
  if (report.contains("significance")) {
    absl::StrAppend(&text, "\n", FormatSignificance(report["significance"]));
  }
  if (report.contains("types")) {
    absl::StrAppend(&text, "\n", FormatTypes(report));
  }
  if (report.contains("compare")) {
    const Json& compare = report["compare"];
    absl::StrAppend(&text, "\n", FormatComparison(compare),
                    FormatChanged("worsened", compare["worsened"]),
                    FormatChanged("improved", compare["improved"]));
  }
  if (report.contains("latency_ms")) {
    absl::StrAppend(&text, "\n", FormatStages("stage", report["latency_ms"]));
  }
  if (report.contains("answers")) {
    const Json& answers = report["answers"];
    absl::StrAppend(&text, "\n", FormatAnswers(answers));
    if (answers.contains("latency_ms")) {
      absl::StrAppend(&text, "\n",
                      FormatStages("answer stage", answers["latency_ms"]));
    }
  }
  return text;
}

}  // namespace braid::services::cli
