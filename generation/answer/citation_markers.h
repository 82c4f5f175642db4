// Takes the markers `[1]` out of an answer while it is written, and finds the
// sentence of the passage that each stands for.
#ifndef BRAID_GENERATION_ANSWER_CITATION_MARKERS_H_
#define BRAID_GENERATION_ANSWER_CITATION_MARKERS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "generation/answer/answerer.h"

namespace braid::generation {

// One answer. Not thread-safe.
class CitationMarkers {
 public:
  // `passages` must outlive this object. [n] names passages[n - 1].
  explicit CitationMarkers(const std::vector<GroundingPassage>& passages);

  // What the model wrote next, as events to send in this order: text without
  // markers (AnswerDelta), and where a marker stood what it cites
  // (AnswerCitation). Spaces and an open bracket are held back until it is
  // clear whether they belong to a marker.
  //
  // A marker such as [2], [1, 3] or one of [1][2] cites for the sentence in
  // front of it, and goes together with the spaces before it. It cites nothing
  // if there is no such passage, or if the passage has no sentence that shares
  // a word with that sentence; then it is dropped where it can be nothing but a
  // marker (every number is a passage's and no word touches it) and is text
  // where it may be something else, such as an index in source code.
  std::vector<AnswerEvent> Add(absl::string_view delta);
  // At the end of the answer: what was held back, if it is text.
  std::vector<AnswerEvent> Finish();

 private:
  struct IndexedSentence {
    size_t begin = 0;  // in the passage's text
    size_t end = 0;
    std::vector<std::string> words;  // distinct
  };
  struct IndexedPassage {
    bool ready = false;
    std::vector<IndexedSentence> sentences;
    absl::flat_hash_map<std::string, double> weights;  // rare words weigh more
  };

  // Splits a passage when it is first cited.
  IndexedPassage& Indexed(size_t passage);
  // Sets statement_* to the sentence that ends where the answer ends now.
  void FindStatement();
  // The citations of a marker behind the answer.
  std::vector<AnswerCitation> Cite(const std::vector<size_t>& numbers);
  // Moves the first `bytes` of what is held to the answer, and to `events`.
  void Send(size_t bytes, std::vector<AnswerEvent>& events);
  // Null if no sentence shares a word with the statement.
  const IndexedSentence* BestSentence(IndexedPassage& passage) const;

  const std::vector<GroundingPassage>& passages_;
  std::vector<IndexedPassage> indexed_;
  std::string answer_;        // what was sent
  std::string held_;          // spaces, or what may become a marker
  size_t segment_begin_ = 0;  // in the answer, where the last marker stood
  size_t statement_begin_ = 0;
  size_t statement_end_ = 0;
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_CITATION_MARKERS_H_
