// `braid eval`.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "services/cli/commands.h"
#include "services/cli/eval_report.h"
#include "services/cli/passages.h"
#include "services/cli/progress_sink.h"
#include "services/cli/render.h"
#include "services/eval/eval.h"

namespace braid::services::cli {
namespace {

ExitCode Run(const EvalOptions& options, const Context& context) {
  absl::StatusOr<Config> config = LoadSettings(context.options);
  if (!config.ok()) return ReportError(config.status());
  // Only an explicit --data is kept: never the server's own directory.
  config->data_directory = context.options.data;
  QuietLog(&*config);
  ProgressReporter progress;
  const absl::StatusOr<EvalOutcome> outcome =
      RunEval(*config, options, progress.sink(), context.signals->token());
  progress.Finish();
  if (!outcome.ok()) return ReportError(outcome.status());
  const Json& report = outcome->report;
  for (const Json& error : report["index"]["errors"]) {
    std::fprintf(stderr, "braid: row %s\n",
                 PrintableText(error.get<std::string>(), false).c_str());
  }
  if (report["missing"] != 0) {
    std::fprintf(stderr,
                 "braid: %s judged queries are not in the queries file and "
                 "score 0\n",
                 report["missing"].dump().c_str());
  }
  if (context.options.json) {
    PrintJsonLine(report);
  } else {
    std::fputs(FormatEvalReport(report).c_str(), stdout);
  }
  if (!outcome->regression.ok()) {
    std::fprintf(stderr, "braid: %s\n",
                 std::string(outcome->regression.message()).c_str());
    return kExitFailure;
  }
  const bool complete =
      report["index"]["failed"] == 0 && report["degraded_queries"] == 0;
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
  AddMultiHop(verb, &options->multi_hop,
              "no for the fused run, yes for the reranked one and the answers");
  verb->add_option("--out", options->results,
                   "Write the result with every query's scores: .json, which "
                   "--compare reads, or .csv; may be given again")
      ->type_name("FILE")
      ->allow_extra_args(false);
  CLI::Option* compare =
      verb->add_option("--compare", options->compare,
                       "Compare with the .json of an earlier evaluation")
          ->type_name("FILE");
  verb->add_option("--max-drop", options->max_drop,
                   "With --compare: exit with 1 if nDCG@10 of what a search "
                   "returns fell by more than this, or significantly")
      ->needs(compare)
      ->check(CLI::Range(0.0, 1.0));
  CLI::Option* answers = verb->add_flag(
      "--answers", options->answers,
      "Ask for answers, too: exact match and F1 against metadata.answers, "
      "citations against the judgements");
  verb->add_option(
          "--unanswerable", options->unanswerable,
          "With --answers: questions that the corpus does not answer "
          "({\"_id\",\"text\"} lines, plain or .gz), for precision and "
          "recall of abstentions")
      ->type_name("FILE")
      ->needs(answers);
  verb->add_option("--model", common->model,
                   "With --answers: Hugging Face causal model that answers; "
                   "without one, answers are extracted")
      ->type_name("DIR")
      ->needs(answers);
  verb->add_option("--plot", options->plot,
                   "Draw nDCG@10 of the runs with their 95 % intervals: .svg")
      ->type_name("FILE");
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
