// Answers with sentences of the passages themselves: no model, nothing
// invented.
#ifndef BRAID_GENERATION_ANSWER_EXTRACTIVE_ANSWERER_H_
#define BRAID_GENERATION_ANSWER_EXTRACTIVE_ANSWERER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "generation/answer/answerer.h"

namespace braid::generation {

// Similarity of the question to each sentence, in order, -1 to 1. The service
// plugs the encoder in here. `go_on` is asked now and then: once it says no,
// nobody waits for the rest, and the function returns CANCELLED.
using SentenceSimilarity = std::function<absl::StatusOr<std::vector<float>>(
    absl::string_view question, absl::Span<const absl::string_view> sentences,
    const std::function<bool()>& go_on)>;

struct ExtractiveOptions {
  size_t max_sentences = 4;
  // Sentences scored by similarity at most, preselected by term overlap.
  size_t max_scored_sentences = 32;
  // Abstain (`no_support`) when no sentence reaches this score (0 to 1).
  double min_support = 0.35;
};

// Splits the passages into sentences (lines of tables and code stand for
// themselves), scores each by the idf-weighted share of the question's terms it
// holds and by its similarity, and streams the best ones, grouped by passage in
// reading order, each followed by its citation.
std::unique_ptr<Answerer> MakeExtractiveAnswerer(
    SentenceSimilarity similarity, const ExtractiveOptions& options);

}  // namespace braid::generation

#endif  // BRAID_GENERATION_ANSWER_EXTRACTIVE_ANSWERER_H_
