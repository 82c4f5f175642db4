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
  ByteRange source_range;  // in the source
  uint32_t page = 0;       // from 1; 0 where there are none
  std::string heading;     // of a heading: its text without markup
};

struct ParsedDocument {
  std::string title;
  std::string text;  // UTF-8; the source itself for text and Markdown
  std::string media_type;
  Metadata metadata;
  std::vector<Block> blocks;
  // Where the text comes from; empty where the text is the source.
  std::vector<SourceRun> source_map;
};

// Parses one file by its content (then by its name). The media types are
// text/plain, text/markdown and text/html. Errors are typed and name the file:
// INVALID_ARGUMENT (not UTF-8, binary, empty), UNIMPLEMENTED (a format Braid
// does not read), RESOURCE_EXHAUSTED (over a limit). Never recurses over the
// input; time and memory are linear in it or refused.
absl::StatusOr<ParsedDocument> ParseSource(const SourceFile& source);

// The blocks of plain text that is known to be UTF-8: paragraphs between blank
// lines.
std::vector<Block> PlainTextBlocks(absl::string_view text);

// The media type ParseSource would use.
std::string DetectMediaType(absl::string_view file_name,
                            absl::string_view content);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_PARSER_H_
