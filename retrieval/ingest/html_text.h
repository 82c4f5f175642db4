// Text, blocks and source map of an HTML page, built in document order.
#ifndef BRAID_RETRIEVAL_INGEST_HTML_TEXT_H_
#define BRAID_RETRIEVAL_INGEST_HTML_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "retrieval/ingest/parser.h"

namespace braid::retrieval {

// Offset in a text node's source of every byte of its decoded text, which
// differs from it by entities and line ends.
class TextAlignment {
 public:
  TextAlignment(absl::string_view decoded, absl::string_view original);

  // Source offsets of the bytes [begin, end) of the decoded text.
  ByteRange Source(size_t begin, size_t end) const;
  // Whether byte i stands in the source as it is.
  bool Literal(size_t i) const;

 private:
  enum class Kind { kSame, kMapped, kUnknown };
  Kind kind_ = Kind::kSame;
  size_t original_size_;
  std::vector<uint32_t> begins_;  // kMapped: decoded size + 1 offsets
};

class HtmlText {
 public:
  // The next text begins a block of this kind; one that is empty so far takes
  // the new kind (a paragraph in a list item stays a list item).
  void BeginBlock(BlockKind kind, int level = 0);
  // The block that is open goes on with the next one, on a new line.
  void JoinNextBlock() { join_next_ = true; }
  void EndBlock();

  // Adds a text node whose source begins at `source_begin`. White space is
  // collapsed unless `preformatted`.
  void Append(absl::string_view decoded, absl::string_view original,
              uint64_t source_begin, bool preformatted);
  // Before the next text of this block: a space, a line break, or the bar
  // between two cells. Dropped where the block has no text before it (but for
  // the bar) or after it.
  void Space();
  void LineBreak();
  void Cell();
  // Drops bars that no text followed: the row ends.
  void EndRow();

  // Ends the last block. Source ranges are offsets in the decoded HTML.
  void Finish(ParsedDocument* document);

 private:
  void OpenBlock();
  // Whether the open block has text.
  bool HasText() const;
  void FlushSeparator();
  void AppendPreformatted(absl::string_view decoded,
                          const TextAlignment& alignment,
                          uint64_t source_begin);
  void AppendRun(absl::string_view decoded, const TextAlignment& alignment,
                 size_t begin, size_t end, uint64_t source_begin);

  std::string text_;
  std::vector<Block> blocks_;
  SourceMapBuilder map_;
  BlockKind kind_ = BlockKind::kParagraph;
  int level_ = 0;
  bool block_open_ = false;  // has text: blocks_.back() is being filled
  bool join_next_ = false;
  bool space_ = false;
  std::string pre_blanks_;  // white space of <pre> that no word followed yet
  int line_breaks_ = 0;
  int bars_ = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_HTML_TEXT_H_
