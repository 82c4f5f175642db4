// From the arguments of `braid ingest` to requests.
#ifndef BRAID_SERVICES_CLI_INGEST_SOURCES_H_
#define BRAID_SERVICES_CLI_INGEST_SOURCES_H_

#include <braid/v1/document_service.pb.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/ingest/files.h"

namespace braid::services::cli {

struct SourceOptions {
  // Name that standard input goes by: its ending decides how it is read.
  std::string stdin_name = "stdin.txt";
  // Added to every document's metadata, and wins over its own.
  google::protobuf::Struct metadata;
  // Larger files are refused before they are read.
  uint64_t max_file_bytes = 32 << 20;
};

// Told of each document: where it comes from (`path` or `path:line`), and the
// request that writes it or why it cannot be read. Returns false to stop.
using SourceSink = std::function<bool(
    const std::string& origin, absl::StatusOr<v1::IngestRequest> request)>;

// The files that arguments name (see retrieval/ingest/files.h). A file whose
// document id another one has already taken becomes an error: the two would
// silently replace each other.
class IngestSources {
 public:
  explicit IngestSources(const std::vector<std::string>& arguments);

  size_t file_count() const { return files_.size(); }
  const std::vector<retrieval::FoundFile>& files() const { return files_; }
  // Arguments and directories that could not be read, and files whose id was
  // taken.
  const std::vector<retrieval::FileError>& errors() const { return errors_; }
  // Leaves only the files with these paths, and no errors.
  void KeepOnly(const std::set<std::string>& paths);
  // True if the number of documents is the number of files: none holds rows.
  bool one_document_per_file() const;

  // Visits every document. Rows of `.jsonl` and `.ndjson` files (also `.gz`)
  // become requests of their own. One file, or one row, is in memory at a time.
  void ForEach(const SourceOptions& options, const SourceSink& sink) const;

 private:
  std::vector<retrieval::FoundFile> files_;
  std::vector<retrieval::FileError> errors_;
};

// `key=value` -> metadata. true, false and numbers are typed, "quoted" values
// are strings, a key that comes again makes a list of strings.
// Errors name `flag`, which the assignments came with.
absl::StatusOr<google::protobuf::Struct> ParseMetadata(
    const std::string& flag, const std::vector<std::string>& assignments);

}  // namespace braid::services::cli

#endif  // BRAID_SERVICES_CLI_INGEST_SOURCES_H_
