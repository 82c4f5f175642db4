// What became of each document of a `braid ingest`: counts, progress, output
// and the report.
#ifndef BRAID_SERVICES_CLI_INGEST_OUTCOMES_H_
#define BRAID_SERVICES_CLI_INGEST_OUTCOMES_H_

#include <braid/v1/document_service.pb.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/cli/terminal.h"
#include "services/eval/json.h"

namespace braid::services::cli {

struct IngestCounts {
  uint64_t created = 0;
  uint64_t replaced = 0;
  uint64_t unchanged = 0;
  uint64_t deleted = 0;
  uint64_t failed = 0;
  uint64_t unanswered = 0;
  uint64_t chunks = 0;
  uint64_t last_sequence = 0;

  uint64_t stored() const { return created + replaced + unchanged; }
  uint64_t done() const { return stored() + failed; }
};

// Thread-safe: the stream's reader and the sending thread both report.
class IngestOutcomes {
 public:
  // With `json` every outcome is a line on stdout; else failures are lines on
  // stderr. Both, always, are lines of the file `report` where that is not
  // empty: it is created anew. An error if it cannot be.
  static absl::StatusOr<std::unique_ptr<IngestOutcomes>> Create(
      bool json, const std::string& report);
  ~IngestOutcomes();

  // How many documents to expect; 0: unknown.
  void Expect(uint64_t documents);
  // `origin`: the file, or `file:line`, that the document came from.
  void Acknowledge(const std::string& origin,
                   const v1::IngestResponse& response);
  // A dry run's finding.
  void Foresee(const std::string& origin, const std::string& document_id,
               v1::IngestResponse::Outcome outcome);
  // `sequence` 0: only foreseen.
  void Delete(const std::string& document_id, uint64_t sequence);
  // What never got to the server.
  void FailToRead(const std::string& origin, const absl::Status& error);
  // Sent, but the stream ended without a word of it: it may be stored or not.
  void Unanswered(const std::string& origin, const absl::Status& why);

  IngestCounts counts() const;
  // Takes the progress bar away.
  void Finish();

 private:
  IngestOutcomes(bool json, std::FILE* report);
  void Store(const std::string& origin, const v1::IngestResponse& response,
             bool dry_run) ABSL_LOCKS_EXCLUDED(mutex_);
  void FailLocked(const std::string& origin, const std::string& document_id,
                  const std::string& stage, const absl::Status& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The line on stdout and in the report. `origin` is only in the report.
  void Write(const std::string& origin, Json line)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteReport(const Json& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool json_;
  std::FILE* const report_;
  mutable absl::Mutex mutex_;
  IngestCounts counts_ ABSL_GUARDED_BY(mutex_);
  Progress progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_INGEST_OUTCOMES_H_
