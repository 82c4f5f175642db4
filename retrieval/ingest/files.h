// From what a user names on the command line to files and their content.
#ifndef BRAID_RETRIEVAL_INGEST_FILES_H_
#define BRAID_RETRIEVAL_INGEST_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// "-" on the command line.
inline constexpr absl::string_view kStdinPath = "-";

struct FoundFile {
  std::string path;         // to open
  std::string document_id;  // relative to the argument that named it, with '/'
};

struct FileError {
  std::string path;
  absl::Status status;
};

struct FileList {
  std::vector<FoundFile> files;  // without repeats, in argument then path order
  std::vector<FileError> errors;
};

// Expands arguments: a file (its id is the argument without leading "/", "./"
// and ".."), a directory (all regular files below; ids relative to it), a
// pattern with * ? [ ] where no such file exists (ids as for files), "-" (id
// "stdin"). Below a directory hidden files and links to directories are
// skipped, as are links that lead out of it. What cannot be read is an error of
// its own and stops nothing.
FileList ExpandPaths(absl::Span<const std::string> arguments);

// Reads a file ("-": standard input) with its path in metadata "path".
// RESOURCE_EXHAUSTED if it has more than `max_bytes`, NOT_FOUND,
// PERMISSION_DENIED, INVALID_ARGUMENT (no regular file) ... naming the file.
absl::StatusOr<SourceFile> ReadSourceFile(const FoundFile& file,
                                          size_t max_bytes);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_FILES_H_
