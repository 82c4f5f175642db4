// Names in a passage that lead on to other documents.
#ifndef BRAID_FUSION_NAMES_H_
#define BRAID_FUSION_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace braid::fusion {

// A passage as the source of links. A question about "the director of
// Metropolis" finds the passage on the film; the passage on its director has
// nothing in common with the question but is called what the first one names.
// Links by titles are those that Wikipedia's editors set, guessed from the text
// (Asai et al., "Learning to Retrieve Reasoning Paths over Wikipedia Graph for
// Question Answering", ICLR 2020, follow the real ones).
//
// Words are runs of letters and digits, compared in lower case.
class NamedInPassage {
 public:
  // Copies what it needs.
  NamedInPassage(absl::string_view question, absl::string_view text);

  // The words of the text that begin with a capital letter, and its numbers of
  // four digits, that the question does not have: each once, with blanks
  // between. They may be names, or begin sentences.
  const std::string& names() const { return names_; }

  // Whether the text holds the whole of a title, what stands behind it in
  // parentheses aside, and the question does not.
  bool Names(absl::string_view title) const;

 private:
  std::vector<std::string> question_;  // words, sorted
  std::string text_;                   // words, with blanks around each
  std::string names_;
};

}  // namespace braid::fusion

#endif  // BRAID_FUSION_NAMES_H_
