#include "services/eval/eval.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "fusion/rrf.h"
#include "services/eval/ask_questions.h"
#include "services/eval/beir.h"
#include "services/eval/comparison.h"
#include "services/eval/inputs.h"
#include "services/eval/plot.h"
#include "services/eval/report.h"
#include "services/eval/result.h"
#include "services/eval/result_file.h"
#include "services/eval/run_file.h"
#include "services/eval/temporary_directory.h"
#include "services/eval/text_file.h"
#include "services/pipeline/search_pipeline.h"
#include "services/server/resource_names.h"

namespace braid::services {
namespace {

// The runs by name, and the time of every stage in milliseconds.
struct Collected {
  std::map<std::string, Run> runs;
  std::map<std::string, std::vector<double>> stages;
  uint64_t degraded = 0;  // queries in which a leg or stage failed
};

using Found = std::vector<const FoundPassage*>;

// The passages that leg `leg` found, by its rank.
Found ByLegRank(const PipelineResult& result, size_t leg) {
  Found found;
  for (const FoundPassage& passage : result.passages) {
    if (passage.fused.legs.size() > leg && passage.fused.legs[leg].rank > 0) {
      found.push_back(&passage);
    }
  }
  std::sort(found.begin(), found.end(),
            [leg](const FoundPassage* a, const FoundPassage* b) {
              return a->fused.legs[leg].rank < b->fused.legs[leg].rank;
            });
  return found;
}

std::vector<RankedDocument> LegRun(const Found& found, size_t leg,
                                   size_t limit) {
  std::vector<RankedDocument> list;
  for (const FoundPassage* passage : found) {
    AppendRanked(
        &list,
        {passage->passage.chunk.document_id, passage->fused.legs[leg].score},
        limit);
  }
  return list;
}

// Reciprocal rank fusion as published (k 60, equal weights), whatever the
// service's default fusion is.
std::vector<RankedDocument> PlainRrf(const Found& bm25, const Found& dense,
                                     size_t limit) {
  std::map<uint64_t, const FoundPassage*> by_chunk;
  std::vector<fusion::RankedList> lists(2);
  for (size_t leg = 0; leg < 2; ++leg) {
    for (const FoundPassage* passage : leg == 0 ? bm25 : dense) {
      by_chunk[passage->passage.chunk.id] = passage;
      lists[leg].hits.push_back(
          {passage->passage.chunk.id, passage->fused.legs[leg].score});
    }
  }
  fusion::RrfOptions options;
  options.limit = by_chunk.size();
  std::vector<RankedDocument> list;
  for (const auto& fused : fusion::ReciprocalRankFusion(lists, options)) {
    AppendRanked(&list,
                 {by_chunk[fused.id]->passage.chunk.document_id, fused.score},
                 limit);
  }
  return list;
}

std::vector<RankedDocument> FusedRun(const PipelineResult& result,
                                     size_t limit) {
  Found found;
  for (const FoundPassage& passage : result.passages) found.push_back(&passage);
  std::sort(found.begin(), found.end(),
            [](const FoundPassage* a, const FoundPassage* b) {
              return a->fused_rank < b->fused_rank;
            });
  std::vector<RankedDocument> list;
  for (const FoundPassage* passage : found) {
    AppendRanked(&list,
                 {passage->passage.chunk.document_id, passage->fused.score},
                 limit);
  }
  return list;
}

std::vector<RankedDocument> FinalRun(const PipelineResult& result,
                                     size_t limit) {
  std::vector<RankedDocument> list;
  for (const FoundPassage& passage : result.passages) {
    AppendRanked(&list, {passage.passage.chunk.document_id, passage.score},
                 limit);
  }
  return list;
}

// One search; `timed`: what its stages took goes into the report.
absl::StatusOr<PipelineResult> RunOne(Runtime& runtime, const std::string& id,
                                      const fusion::Reranker* reranker,
                                      const PipelineQuery& search, bool timed,
                                      Collected* collected) {
  const absl::Time start = absl::Now();
  absl::StatusOr<PipelineResult> result =
      RunSearch(runtime.backend(), reranker, search);
  if (!result.ok()) {
    return absl::Status(
        result.status().code(),
        absl::StrCat("query ", id, ": ", result.status().message()));
  }
  if (!timed) return result;
  collected->stages["total"].push_back(
      absl::ToDoubleMilliseconds(absl::Now() - start));
  for (const StageTime& stage : result->stages) {
    collected->stages[stage.stage].push_back(
        absl::ToDoubleMilliseconds(stage.elapsed));
  }
  return result;
}

absl::Status RunQuery(Runtime& runtime, const std::string& collection,
                      const DatasetQuery& query, const EvalOptions& options,
                      const std::stop_token& stop, Collected* collected) {
  PipelineQuery search;
  search.query.collection = collection;
  search.query.text = query.text;
  search.query.limit_per_leg = options.leg_limit;
  search.query.stop = stop;
  // Everything that either leg found: the legs' own rankings are read off it.
  search.top_k = 2 * options.leg_limit;
  search.merge_near_duplicates = false;
  bool degraded = false;
  const bool reranks = runtime.reranker() != nullptr;
  if (reranks) {
    // First, so that the caches know as little of the question as those of a
    // server do: the stages' times are those of the search whose run is the
    // final one. As for an answer.
    PipelineQuery whole = search;
    whole.rerank_depth = static_cast<size_t>(
        runtime.config().limits.default_answer_rerank_depth);
    whole.multi_hop = options.multi_hop.value_or(true);
    const absl::StatusOr<PipelineResult> reranked =
        RunOne(runtime, query.id, runtime.reranker(), whole, true, collected);
    if (!reranked.ok()) return reranked.status();
    collected->runs["reranked"][query.id] =
        FinalRun(*reranked, options.leg_limit);
    degraded = !reranked->degraded.empty();
  }
  search.multi_hop = options.multi_hop.value_or(false);
  const absl::StatusOr<PipelineResult> result =
      RunOne(runtime, query.id, nullptr, search, !reranks, collected);
  if (!result.ok()) return result.status();
  const size_t limit = options.leg_limit;
  const Found bm25 = ByLegRank(*result, 0);
  const Found dense = ByLegRank(*result, 1);
  collected->runs["bm25"][query.id] = LegRun(bm25, 0, limit);
  collected->runs["dense"][query.id] = LegRun(dense, 1, limit);
  collected->runs["rrf"][query.id] = PlainRrf(bm25, dense, limit);
  collected->runs["fused"][query.id] = FusedRun(*result, limit);
  if (degraded || !result->degraded.empty()) ++collected->degraded;
  return absl::OkStatus();
}

// A question of blanks finds nothing and counts as such; it is no error.
bool IsAskable(const DatasetQuery& query) {
  return query.text.find_first_not_of(" \t\r\n") != std::string::npos;
}

// Every run's scores for every judged query, in the order of reports.
void AddRuns(const std::map<std::string, Run>& runs, const Qrels& qrels,
             EvalResult* result) {
  for (const char* name : {"bm25", "dense", "rrf", "fused", "reranked"}) {
    const auto run = runs.find(name);
    if (run == runs.end()) continue;
    result->runs.push_back(
        {name, EvaluateRun(ToRankings(run->second), qrels).scores});
    result->final_run = name;
  }
}

absl::Status WriteRuns(const std::map<std::string, Run>& runs,
                       const std::string& path) {
  for (const auto& [name, run] : runs) {
    const absl::Status status =
        WriteTrecRun(run, absl::StrCat("braid-", name),
                     name == "fused" ? path : absl::StrCat(path, ".", name));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

Json IndexJson(const IndexReport& index) {
  return {{"rows", index.rows},
          {"written", index.written},
          {"unchanged", index.unchanged},
          {"removed", index.removed},
          {"failed", index.failed},
          {"errors", index.errors},
          {"seconds", absl::ToDoubleSeconds(index.searchable)}};
}

// Compares, writes what is to be written, and puts the report together.
absl::StatusOr<EvalOutcome> Finish(const EvalInputs& inputs,
                                   const EvalResult& result,
                                   const Json& questions,
                                   const EvalOptions& options, Json report) {
  EvalOutcome outcome;
  AddScores(result, &report);
  AddSignificance(result, &report);
  if (inputs.earlier.has_value()) {
    const absl::StatusOr<Comparison> comparison =
        Compare(*inputs.earlier, result, options.compare);
    if (!comparison.ok()) return comparison.status();
    report["compare"] = ToJson(*comparison);
    if (options.max_drop.has_value()) {
      outcome.regression = CheckRegression(*comparison, *options.max_drop);
    }
  }
  // What is too long to be printed goes into the files.
  Json whole = report;
  if (options.answers) whole["answers"]["per_question"] = questions;
  for (const std::string& path : options.results) {
    const absl::Status status = WriteResult(result, whole, path);
    if (!status.ok()) return status;
  }
  if (!options.plot.empty()) {
    const absl::Status status = WriteTextFile(options.plot, PlotRuns(result));
    if (!status.ok()) return status;
  }
  outcome.report = std::move(report);
  return outcome;
}

}  // namespace

absl::StatusOr<EvalOutcome> RunEval(Config config, const EvalOptions& options,
                                    const ProgressSink& progress,
                                    std::stop_token stop) {
  absl::StatusOr<EvalInputs> inputs = ReadInputs(options);
  if (!inputs.ok()) return inputs.status();
  std::optional<TemporaryDirectory> temporary;
  if (config.data_directory.empty()) {
    absl::StatusOr<TemporaryDirectory> created = TemporaryDirectory::Create();
    if (!created.ok()) return created.status();
    temporary.emplace(*std::move(created));
    config.data_directory = temporary->path();
  }
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create(config);
  if (!runtime.ok()) return runtime.status();
  const std::string collection = EvalCollection(options.dataset);
  const absl::StatusOr<IndexReport> index =
      IndexDataset(**runtime, collection, inputs->corpus, progress, stop);
  if (!index.ok()) return index.status();

  Collected collected;
  for (const char* name : {"bm25", "dense", "rrf", "fused"}) {
    collected.runs[name];
  }
  uint64_t done = 0;
  for (const DatasetQuery& query : inputs->queries) {
    if (stop.stop_requested()) return absl::CancelledError("interrupted");
    if (IsAskable(query)) {
      const absl::Status status =
          RunQuery(**runtime, collection, query, options, stop, &collected);
      if (!status.ok()) return status;
    }
    progress("Searching", ++done, inputs->queries.size());
  }
  absl::StatusOr<Answers> answers = Answers();
  if (options.answers) {
    v1::AnswerRequest request;
    request.set_collection(FormatCollectionName(collection));
    if (options.multi_hop.has_value()) {
      request.set_multi_hop(*options.multi_hop);
    }
    answers = AskQuestions(**runtime, std::move(request), inputs->queries,
                           inputs->qrels, inputs->unanswerable, progress, stop);
  }
  if (!answers.ok()) return answers.status();
  (*runtime)->Shutdown();

  if (!options.run_out.empty()) {
    const absl::Status status = WriteRuns(collected.runs, options.run_out);
    if (!status.ok()) return status;
  }
  EvalResult result = std::move(inputs->result);
  result.rows = index->rows;
  AddRuns(collected.runs, inputs->qrels, &result);
  const size_t missing =
      EvaluateRun(ToRankings(collected.runs["fused"]), inputs->qrels).missing;
  Json report = {{"dataset", options.dataset},
                 {"queries", inputs->queries.size()},
                 {"degraded_queries", collected.degraded},
                 {"index", IndexJson(*index)},
                 {"judged", result.queries.size()},
                 {"missing", missing}};
  for (const auto& [stage, samples] : collected.stages) {
    report["latency_ms"][stage] = ToJson(ComputePercentiles(samples));
  }
  if (options.answers) report["answers"] = std::move(answers->report);
  return Finish(*inputs, result, answers->questions, options,
                std::move(report));
}

}  // namespace braid::services
