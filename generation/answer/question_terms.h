// What a question asks about, and whether a text says it.
#ifndef BRAID_GENERATION_ANSWER_QUESTION_TERMS_H_
#define BRAID_GENERATION_ANSWER_QUESTION_TERMS_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace braid::generation {

struct QuestionTerm {
  // A word: case-folded, plural and -ing/-ed endings taken off. An identifier
  // (`40P01`, `max_wal_size`, `getUserName`): case-folded, whole.
  std::string text;
  bool identifier = false;
};

// A text made ready for looking terms up.
struct TermText {
  std::string folded;
  absl::flat_hash_set<std::string> words;

  bool Contains(const QuestionTerm& term) const;
};

// The distinct terms of a question in order, without the words that every
// question has.
std::vector<QuestionTerm> QuestionTerms(absl::string_view question);

TermText ReadTerms(absl::string_view text);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_QUESTION_TERMS_H_
