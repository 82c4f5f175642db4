// Text of documents as a prompt holds it.
#ifndef BRAID_GENERATION_ANSWER_QUOTED_TEXT_H_
#define BRAID_GENERATION_ANSWER_QUOTED_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace braid::generation {

// `text` with "> " before each line, whichever character breaks it, so that no
// line of a document can pass for one of the prompt's own: the head of a
// passage, or the question. What a reader would not see is left out: characters
// that Unicode calls default ignorable (zero-width ones, tags, variation
// selectors, marks of direction) and controls but the tab. A joiner stays where
// it can join: Persian and emoji need it.
std::string QuotedForPrompt(absl::string_view text);

// The same of one line, without the mark: line breaks become spaces.
std::string LineForPrompt(absl::string_view text);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_QUOTED_TEXT_H_
