// From source bytes to text and structure.
#ifndef BRAID_RETRIEVAL_INGEST_PARSER_H_
#define BRAID_RETRIEVAL_INGEST_PARSER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "retrieval/ingest/source_map.h"
#include "retrieval/types.h"

namespace braid::retrieval {

// A file as it was read.
struct SourceFile {
  std::string document_id;
  std::string file_name;  // for the title and the type; never opened
  std::string content;
  std::string media_type;  // empty: decided by content and name
  Metadata metadata;       // wins over what the file says
};

enum class BlockKind { kHeading, kParagraph, kListItem, kTable, kCode };

// A piece of structure. Blocks are disjoint, in order, and cover all text that
// is worth finding.
struct Block {
  BlockKind kind = BlockKind::kParagraph;
  int level = 0;           // of a heading: 1 to 6
  ByteRange text_range;    // in ParsedDocument::text
  ByteRange source_range;  // in the source; all of it where nothing less is
                           // known (formats that are packed: PDF, DOCX ...)
  uint32_t page = 0;       // or slide, from 1; 0 where there are none
  std::string heading;     // of a heading: its text without markup
};

struct ParsedDocument {
  std::string title;
  std::string text;  // UTF-8; for UTF-8 text and Markdown the source itself
  std::string media_type;
  Metadata metadata;
  std::vector<Block> blocks;
  // Where the text comes from; empty where the text is the source. Where only
  // the whole source is known, every run has all of it.
  std::vector<SourceRun> source_map;
};

// Turns sources into text and structure. Thread-safe.
class SourceParser {
 public:
  virtual ~SourceParser() = default;
  // As ParseSource; the metadata of `source` is added to the document's.
  virtual absl::StatusOr<ParsedDocument> Parse(const SourceFile& source) = 0;
};

// How errors call a source: by its id, else by its name.
const std::string& SourceName(const SourceFile& source);
// The source's own metadata wins over what was read from it.
void AddSourceMetadata(const SourceFile& source, ParsedDocument* document);

// The most bytes that a source of `source_bytes` may become, unpacked or
// encoded: 100 times its size and at least 1 MiB, at most 256 MB.
size_t OutputLimit(size_t source_bytes);
// RESOURCE_EXHAUSTED: its content is over that limit.
absl::Status OutputLimitError(absl::string_view name, size_t source_bytes);

// Parses PDF bytes; errors as of ParseSource.
using PdfParser = absl::StatusOr<ParsedDocument> (*)(absl::string_view name,
                                                     absl::string_view source);

// Parses one file by its content (retrieval/ingest/media_type.h). Errors are
// typed and name the file: INVALID_ARGUMENT (damaged, encrypted, binary,
// empty), UNIMPLEMENTED (a format that is not read), RESOURCE_EXHAUSTED (over a
// limit). Never recurses over the input. Limits of time and memory are the
// business of the process it runs in: the parser worker
// (retrieval/ingest/worker), which also brings the parser for PDF; without one
// PDF is UNIMPLEMENTED.
absl::StatusOr<ParsedDocument> ParseSource(const SourceFile& source,
                                           PdfParser parse_pdf = nullptr);

// The blocks of plain text that is known to be UTF-8: paragraphs between blank
// lines.
std::vector<Block> PlainTextBlocks(absl::string_view text);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_PARSER_H_
