// Cuts text into sentences that can be quoted.
#ifndef BRAID_GENERATION_ANSWER_SENTENCES_H_
#define BRAID_GENERATION_ANSWER_SENTENCES_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace braid::generation {

enum class SentenceKind {
  kProse,
  kHeading,   // a short line of its own without a full stop
  kListItem,  // the first sentence of an item, its marker included
  kTableRow,  // cells separated by '|' or tabs
  kCode,      // a line of a fenced or indented block
};

// Bytes [begin, end) of the text, without white space around them; never within
// a UTF-8 character.
struct Sentence {
  size_t begin = 0;
  size_t end = 0;
  SentenceKind kind = SentenceKind::kProse;
  // The number of the block (paragraph, item, row, line of code) it is from.
  size_t block = 0;
};

// The sentences of `text` in order, not overlapping. Blank lines, headings,
// list items, table rows and lines of code end a sentence; so does a full stop,
// but not one of an abbreviation, an initial, a number or an identifier. Lines
// that were only wrapped are joined. Takes any bytes; linear time.
std::vector<Sentence> SplitSentences(absl::string_view text);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_SENTENCES_H_
