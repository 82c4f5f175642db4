#include "services/eval/inputs.h"

#include <map>
#include <utility>

#include "services/eval/comparison.h"
#include "services/eval/result_file.h"
#include "services/eval/text_file.h"

namespace braid::services {
namespace {

EvalResult JudgedSet(const std::string& dataset,
                     const std::vector<DatasetQuery>& queries,
                     const Qrels& qrels) {
  EvalResult result;
  result.dataset = dataset;
  result.judgements = JudgementsFingerprint(qrels);
  std::map<std::string, const DatasetQuery*> by_id;
  for (const DatasetQuery& query : queries) by_id[query.id] = &query;
  for (std::string& id : JudgedQueries(qrels)) {
    ResultQuery& query = result.queries.emplace_back();
    if (const auto asked = by_id.find(id); asked != by_id.end()) {
      query.text = asked->second->text;
      query.type = asked->second->type;
    }
    query.id = std::move(id);
  }
  return result;
}

}  // namespace

absl::StatusOr<EvalInputs> ReadInputs(const EvalOptions& options) {
  for (const std::string& path : options.results) {
    const absl::Status status = CheckResultPath(path);
    if (!status.ok()) return status;
  }
  if (!options.plot.empty()) {
    const absl::Status status = CheckOutputPath(options.plot, {".svg"});
    if (!status.ok()) return status;
  }
  EvalInputs inputs;
  const absl::StatusOr<DatasetFiles> files =
      FindDataset(options.dataset, options.queries, options.qrels);
  if (!files.ok()) return files.status();
  inputs.corpus = files->corpus;
  absl::StatusOr<std::vector<DatasetQuery>> queries =
      ReadQueries(files->queries);
  if (!queries.ok()) return queries.status();
  inputs.queries = *std::move(queries);
  absl::StatusOr<Qrels> qrels = ReadQrels(files->qrels);
  if (!qrels.ok()) return qrels.status();
  inputs.qrels = *std::move(qrels);
  if (options.queries.empty()) {
    std::erase_if(inputs.queries, [&](const DatasetQuery& query) {
      return !inputs.qrels.contains(query.id);
    });
  }
  if (!options.unanswerable.empty()) {
    absl::StatusOr<std::vector<DatasetQuery>> unanswerable =
        ReadQueries(options.unanswerable);
    if (!unanswerable.ok()) return unanswerable.status();
    inputs.unanswerable = *std::move(unanswerable);
  }
  inputs.result = JudgedSet(options.dataset, inputs.queries, inputs.qrels);
  if (!options.compare.empty()) {
    absl::StatusOr<EvalResult> earlier = ReadResult(options.compare);
    if (!earlier.ok()) return earlier.status();
    const absl::Status counted = ForEachCorpusRow(
        inputs.corpus, [&inputs](const retrieval::InlineDocument&) {
          ++inputs.result.rows;
          return true;
        });
    if (!counted.ok()) return counted;
    const absl::Status same =
        CheckSameSet(*earlier, inputs.result, options.compare);
    if (!same.ok()) return same;
    inputs.earlier = *std::move(earlier);
  }
  return inputs;
}

}  // namespace braid::services
