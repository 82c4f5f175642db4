// `braid eval`.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_format.h"
#include "services/cli/commands.h"
#include "services/cli/progress_sink.h"
#include "services/cli/render.h"
#include "services/eval/eval.h"

namespace braid::services::cli {
namespace {

void PrintReport(const Json& report) {
  std::vector<std::vector<std::string>> rows = {{"run", "nDCG@10", "Recall@100",
                                                 "MRR@10", "Hits@4", "Hits@10",
                                                 "MAP@10"}};
  for (const auto& [name, metrics] : report["runs"].items()) {
    rows.push_back({name});
    for (const Json& value : metrics) {
      rows.back().push_back(absl::StrFormat("%.4f", value.get<double>()));
    }
  }
  rows.push_back({});
  rows.push_back({"stage", "p50 ms", "p95 ms", "p99 ms"});
  for (const auto& [name, percentiles] : report["latency_ms"].items()) {
    rows.push_back({name});
    for (const Json& value : percentiles) {
      rows.back().push_back(absl::StrFormat("%.2f", value.get<double>()));
    }
  }
  std::printf("%s: %s rows, %s judged queries\n\n",
              report["dataset"].get<std::string>().c_str(),
              report["index"]["rows"].dump().c_str(),
              report["judged"].dump().c_str());
  std::fputs(FormatTable(rows).c_str(), stdout);
}

ExitCode Run(const EvalOptions& options, const Context& context) {
  absl::StatusOr<Config> config = LoadSettings(context.options);
  if (!config.ok()) return ReportError(config.status());
  // Only an explicit --data is kept: never the server's own directory.
  config->data_directory = context.options.data;
  QuietLog(&*config);
  ProgressReporter progress;
  const absl::StatusOr<Json> report =
      RunEval(*config, options, progress.sink(), context.signals->token());
  progress.Finish();
  if (!report.ok()) return ReportError(report.status());
  for (const Json& error : (*report)["index"]["errors"]) {
    std::fprintf(stderr, "braid: row %s\n",
                 PrintableText(error.get<std::string>(), false).c_str());
  }
  if ((*report)["missing"] != 0) {
    std::fprintf(stderr,
                 "braid: %s judged queries are not in the queries file and "
                 "score 0\n",
                 (*report)["missing"].dump().c_str());
  }
  if (context.options.json) {
    PrintJsonLine(*report);
  } else {
    PrintReport(*report);
  }
  const bool complete =
      (*report)["index"]["failed"] == 0 && (*report)["degraded_queries"] == 0;
  return complete ? kExitOk : kExitPartlyFailed;
}

}  // namespace

void AddEval(CLI::App& app, CommonOptions* common, Action* action) {
  CLI::App* verb = app.add_subcommand(
      "eval", "Measure retrieval quality on a judged set (BEIR layout)");
  auto options = std::make_shared<EvalOptions>();
  verb->add_option("--dataset", options->dataset,
                   "Directory with corpus.jsonl, queries.jsonl and qrels.tsv "
                   "or qrels/test.tsv, each plain or .gz")
      ->type_name("DIR")
      ->required();
  verb->add_option("--queries", options->queries,
                   "Queries instead of the directory's; all of them are run")
      ->type_name("FILE");
  verb->add_option("--qrels", options->qrels,
                   "Judgements instead of the directory's")
      ->type_name("FILE");
  verb->add_option("--run-out", options->run_out,
                   "Write the fused run as a TREC file; the other runs go to "
                   "FILE.bm25, FILE.dense, FILE.rrf")
      ->type_name("FILE");
  verb->add_option("--leg-limit", options->leg_limit,
                   "Candidates each leg brings")
      ->capture_default_str()
      ->check(CLI::Range(1, 500));
  verb->add_flag("--multi-hop", options->multi_hop,
                 "A second pass: look up what the best passages name (shows in "
                 "the fused run)");
  verb->add_option("--data", common->data,
                   "Keep the index in this directory and use it again; "
                   "unchanged rows are skipped (default: a temporary one)")
      ->type_name("DIR");
  AddBasicFlags(verb, common);
  AddEngineFlags(verb, common);
  verb->callback([options, action] {
    *action = [options](const Context& context) {
      return Run(*options, context);
    };
  });
}

}  // namespace braid::services::cli
