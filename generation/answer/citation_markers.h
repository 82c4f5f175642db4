// Finds the markers `[1]` in an answer while it is written, and the sentence of
// the passage that each stands for.
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

  // Appends to the answer; returns the citations of the markers that end in it.
  // A marker such as [2], [1, 3] or one of [1][2] cites for the sentence in
  // front of it. It cites nothing if there is no such passage, or if the
  // passage has no sentence that shares a word with that sentence.
  std::vector<AnswerCitation> Add(absl::string_view delta);

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
  // Sets statement_* to the sentence that ends where the marker begins.
  void FindStatement(size_t marker_begin);
  // Null if no sentence shares a word with the statement.
  const IndexedSentence* BestSentence(IndexedPassage& passage) const;

  const std::vector<GroundingPassage>& passages_;
  std::vector<IndexedPassage> indexed_;
  std::string answer_;
  size_t scanned_ = 0;        // up to here markers have been looked for
  size_t segment_begin_ = 0;  // end of the last marker
  size_t statement_begin_ = 0;
  size_t statement_end_ = 0;
};

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_CITATION_MARKERS_H_
