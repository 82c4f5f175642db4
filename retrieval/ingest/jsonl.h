// Documents from JSON lines, as BEIR's corpora and exports of others are.
#ifndef BRAID_RETRIEVAL_INGEST_JSONL_H_
#define BRAID_RETRIEVAL_INGEST_JSONL_H_

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/pipeline.h"

namespace braid::retrieval {

struct JsonlLimits {
  size_t max_line_bytes = 32 << 20;
};

// Turns one line {"id" or "_id", "title", "text", "metadata"} into a document.
// "title" and "metadata" may be missing; ids may be whole numbers. Metadata
// holds booleans, numbers, strings and lists of strings; objects in it are
// flattened
// ("a": {"b": 1} becomes "a.b"), nulls are left out, anything else is refused.
// INVALID_ARGUMENT names the field.
absl::StatusOr<InlineDocument> ParseJsonlDocument(absl::string_view line);

// Reads documents one by one; gzip is recognised by its content. Memory is
// bounded by one line. Not thread-safe.
class JsonlReader {
 public:
  // NOT_FOUND, PERMISSION_DENIED ...; the file is called `path` in errors.
  static absl::StatusOr<std::unique_ptr<JsonlReader>> Open(
      const std::string& path, const JsonlLimits& limits = {});
  // Reads `file` (such as stdin), which must outlive the reader.
  static std::unique_ptr<JsonlReader> FromFile(std::FILE* file,
                                               const std::string& name,
                                               const JsonlLimits& limits = {});
  // Reads `bytes`, which must outlive the reader.
  static std::unique_ptr<JsonlReader> FromBytes(absl::string_view bytes,
                                                const std::string& name,
                                                const JsonlLimits& limits = {});
  ~JsonlReader();

  // The next line that is not blank: a document, or what is wrong with it, as
  // "name:line: ..." (bad JSON, a field, RESOURCE_EXHAUSTED for a line over the
  // limit): the next call goes on behind it. nullopt at the end. DATA_LOSS
  // where the stream itself breaks (gzip, disk); the call after it returns
  // nullopt.
  std::optional<absl::StatusOr<InlineDocument>> Next();

  // Of the line that Next returned last, from 1.
  size_t line_number() const { return line_number_; }

 private:
  class Input;
  JsonlReader(std::unique_ptr<Input> input, std::string name,
              const JsonlLimits& limits);

  std::unique_ptr<Input> input_;
  const std::string name_;
  const JsonlLimits limits_;
  size_t line_number_ = 0;
  bool done_ = false;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_JSONL_H_
