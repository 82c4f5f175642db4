// Evaluation sets in the BEIR layout: corpus.jsonl, queries.jsonl, qrels.
#ifndef BRAID_SERVICES_EVAL_BEIR_H_
#define BRAID_SERVICES_EVAL_BEIR_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/ingest/pipeline.h"
#include "services/eval/metrics.h"

namespace braid::services {

// The files of a set.
struct DatasetFiles {
  std::string corpus;
  std::string queries;
  std::string qrels;
};

struct DatasetQuery {
  std::string id;
  std::string text;
  std::string type;                  // `metadata.type`; empty if it has none
  std::vector<std::string> answers;  // `metadata.answers`: the gold answers
};

// Finds corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv) in
// `directory`, each also with `.gz`. `queries` and `qrels`, where not empty,
// are taken instead. NOT_FOUND naming what was looked for.
absl::StatusOr<DatasetFiles> FindDataset(const std::string& directory,
                                         const std::string& queries,
                                         const std::string& qrels);
// As FindDataset, for what only needs the corpus.
absl::StatusOr<std::string> FindCorpus(const std::string& directory);

// Rows {"_id", "title", "text"} in the order of the file. Reads line by line:
// memory does not grow with the file. `visit` returns false to stop.
// INVALID_ARGUMENT naming file and line.
absl::Status ForEachCorpusRow(
    const std::string& path,
    const std::function<bool(retrieval::InlineDocument)>& visit);

// Rows {"_id", "text"[, "metadata"]} in the order of the file. Of the metadata,
// which may hold anything, a `type` that is a string is taken and `answers`,
// which must be a list of strings. INVALID_ARGUMENT naming file and line, also
// for an id that comes twice.
absl::StatusOr<std::vector<DatasetQuery>> ReadQueries(const std::string& path);

// Tab-separated `query-id corpus-id score` with an optional header line, or
// TREC's `query iteration document score`.
absl::StatusOr<Qrels> ReadQrels(const std::string& path);

// SHA-256 in hexadecimal over all judgements, whatever the order of the file.
std::string JudgementsFingerprint(const Qrels& qrels);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_BEIR_H_
