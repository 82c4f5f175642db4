// Parses documents in worker processes that can be killed.
#ifndef BRAID_RETRIEVAL_INGEST_WORKER_PARSER_POOL_H_
#define BRAID_RETRIEVAL_INGEST_WORKER_PARSER_POOL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/worker/worker_process.h"

namespace braid::retrieval {

struct ParserPoolOptions {
  // The worker program; empty: `braid-parse` beside the program that runs.
  std::string executable;
  int max_workers = 1;
  // Of one document.
  absl::Duration max_cpu_time = absl::Seconds(10);
  absl::Duration max_wall_time = absl::Seconds(60);
  size_t max_memory_bytes = size_t{2} << 30;  // address space of a worker
  // A worker is replaced after so many documents: libraries leak.
  int max_documents_per_worker = 1000;
};

// At most `max_workers` processes, started when they are needed and used again.
// A document on which a worker crashes, hangs or exceeds a limit costs that
// worker and ends in an error of its own:
//   RESOURCE_EXHAUSTED  processor time, time, memory or output over the limit
//                       (output: OutputLimit in parser.h)
//   INVALID_ARGUMENT    the parser crashed on it
//   INTERNAL            the worker's reply is not well-formed
//   UNAVAILABLE         no worker could be started
// What a worker sends back is checked before it is used. Workers may open no
// file but poppler's character tables, and no connection, and start no process
// (retrieval/ingest/worker/sandbox.h). They end with this process.
// Thread-safe.
class ParserPool : public SourceParser {
 public:
  // NOT_FOUND, saying where it was looked for, if there is no worker program.
  static absl::StatusOr<std::unique_ptr<ParserPool>> Create(
      const ParserPoolOptions& options);

  // Blocks while all workers are busy.
  absl::StatusOr<ParsedDocument> Parse(const SourceFile& source) override;

 private:
  struct Worker {
    std::unique_ptr<WorkerProcess> process;
    int documents = 0;
  };

  explicit ParserPool(const ParserPoolOptions& options) : options_(options) {}
  absl::StatusOr<Worker> TakeWorker();
  void GiveBack(Worker worker, bool usable);
  absl::StatusOr<ParsedDocument> ParseWith(Worker* worker, bool* usable,
                                           const SourceFile& source);

  const ParserPoolOptions options_;
  absl::Mutex mutex_;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Worker> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_WORKER_PARSER_POOL_H_
