// Puts the corpus of an evaluation set into a collection: one row, one chunk.
#ifndef BRAID_SERVICES_EVAL_INDEX_CORPUS_H_
#define BRAID_SERVICES_EVAL_INDEX_CORPUS_H_

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retrieval/ingest/pipeline.h"
#include "retrieval/local/local_backend.h"
#include "services/runtime.h"

namespace braid::services {

// Told of what is being done: `total` 0 where it is not known.
using ProgressSink =
    std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

struct IndexReport {
  uint64_t rows = 0;
  uint64_t written = 0;
  uint64_t unchanged = 0;
  uint64_t failed = 0;
  uint64_t removed = 0;  // documents of an earlier run that are no rows now
  uint64_t chunks = 0;   // of what was written
  std::vector<std::string> errors;  // the first 20, naming the row
  absl::Duration durable;           // until the last row was acknowledged
  absl::Duration searchable;        // until both legs see all of it
};

// The collection's id for the set in `directory`: `eval-` and its name.
std::string EvalCollection(const std::string& directory);

// Creates `collection` with chunking `whole` if it is not there; one that is
// there with another chunking is FAILED_PRECONDITION.
absl::Status EnsureWholeCollection(retrieval::LocalBackend& backend,
                                   const std::string& collection);

// Writes every row of `corpus` through `pipeline`, removes what is not in the
// corpus, and waits until searches see it. Rows that fail do not stop the run.
// CANCELLED when `stop` is requested.
absl::StatusOr<IndexReport> IndexCorpus(retrieval::LocalBackend& backend,
                                        retrieval::IngestPipeline& pipeline,
                                        const std::string& collection,
                                        const std::string& corpus,
                                        const ProgressSink& progress,
                                        std::stop_token stop);

// Both of the above on a runtime.
absl::StatusOr<IndexReport> IndexDataset(Runtime& runtime,
                                         const std::string& collection,
                                         const std::string& corpus,
                                         const ProgressSink& progress,
                                         std::stop_token stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_INDEX_CORPUS_H_
