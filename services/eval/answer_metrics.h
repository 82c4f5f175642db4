// How good answers are, given the right ones.
#ifndef BRAID_SERVICES_EVAL_ANSWER_METRICS_H_
#define BRAID_SERVICES_EVAL_ANSWER_METRICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/eval/json.h"

namespace braid::services {

// The words that answers are compared by: lower case, without ASCII punctuation
// and without the articles a, an, the, cut at white space.
std::vector<std::string> AnswerWords(absl::string_view text);

// Exact match and F1 of words as SQuAD 1.1 has them (Rajpurkar et al., 2016,
// section 6.1): the better of each over the gold answers.
struct AnswerMatch {
  double exact = 0;  // 1 when the words are those of a gold answer
  double f1 = 0;     // of the words, each as often as it comes
  // 1 when the words of a gold answer stand in a row in the answer: what tells
  // of answers in whole sentences. Not SQuAD's.
  double contains = 0;
};
// All 0 without gold answers.
AnswerMatch MatchAnswer(absl::string_view answer,
                        absl::Span<const std::string> gold);

// What became of one question.
struct AskedQuestion {
  std::string id;
  bool answerable = true;
  bool abstained = false;
  std::string answer;             // as it was sent
  std::vector<std::string> gold;  // empty where there are none
  bool judged = false;            // has relevant documents
  uint64_t citations = 0;
  uint64_t right_citations = 0;  // whose document is relevant
  uint64_t relevant = 0;         // documents
  uint64_t relevant_cited = 0;   // of those, each once
};

// {questions, with_gold, exact_match, f1, contains, answered: {questions,
// exact_match, f1, contains}, citations: {count, precision, recall},
// abstention: {unanswerable, abstained, precision, recall, f1}}.
//
// An abstention answers nothing: it scores 0 against gold answers, `answered`
// leaves it out. Precision of citations is over all citations of judged
// questions, recall over all their relevant documents. `abstention` is there
// where unanswerable questions were asked: precision is the share of
// abstentions that were right to, recall the share of unanswerable questions
// that were abstained from. A share of nothing is null.
Json AnswerReport(absl::Span<const AskedQuestion> questions);

// [{id, answerable, abstained, answer, exact_match, f1, contains, citations,
// right_citations, relevant, relevant_cited}]: the matches null without gold
// answers, the last three without judgements.
Json QuestionsReport(absl::Span<const AskedQuestion> questions);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_ANSWER_METRICS_H_
