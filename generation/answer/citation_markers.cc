#include "generation/answer/citation_markers.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "generation/answer/sentences.h"

namespace braid::generation {
namespace {

// "[12, 3]" is long enough; longer brackets are text.
constexpr size_t kMaxMarkerBytes = 32;

// Distinct lower-case words. Bytes of other scripts count as letters.
std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i <= text.size(); ++i) {
    const unsigned char c = i < text.size() ? text[i] : ' ';
    if (absl::ascii_isalnum(c) || c == '_' || c >= 0x80) {
      word.push_back(absl::ascii_tolower(c));
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, std::string()));
    }
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

// The numbers of a marker's inside, "1" or "1, 3"; empty if it is none.
std::vector<size_t> Numbers(absl::string_view inside) {
  std::vector<size_t> numbers;
  size_t i = 0;
  while (true) {
    while (i < inside.size() && inside[i] == ' ') ++i;
    const size_t begin = i;
    size_t value = 0;
    while (i < inside.size() && absl::ascii_isdigit(inside[i])) {
      value = std::min<size_t>(value * 10 + (inside[i] - '0'), 1'000'000);
      ++i;
    }
    if (i == begin) return {};
    numbers.push_back(value);
    while (i < inside.size() && inside[i] == ' ') ++i;
    if (i == inside.size()) return numbers;
    if (inside[i] != ',') return {};
    ++i;
  }
}

}  // namespace

CitationMarkers::CitationMarkers(const std::vector<GroundingPassage>& passages)
    : passages_(passages), indexed_(passages.size()) {}

CitationMarkers::IndexedPassage& CitationMarkers::Indexed(size_t passage) {
  IndexedPassage& indexed = indexed_[passage];
  if (indexed.ready) return indexed;
  indexed.ready = true;
  const std::string& text = passages_[passage].text;
  for (const Sentence& sentence : SplitSentences(text)) {
    std::vector<std::string> words = Words(absl::string_view(text).substr(
        sentence.begin, sentence.end - sentence.begin));
    for (const std::string& word : words) indexed.weights[word] += 1;
    indexed.sentences.push_back(
        {sentence.begin, sentence.end, std::move(words)});
  }
  const double count = static_cast<double>(indexed.sentences.size());
  for (auto& [word, weight] : indexed.weights) {
    weight = std::log(1 + count / weight);
  }
  return indexed;
}

void CitationMarkers::FindStatement(size_t marker_begin) {
  const absl::string_view segment = absl::string_view(answer_).substr(
      segment_begin_, marker_begin - segment_begin_);
  const std::vector<Sentence> sentences = SplitSentences(segment);
  // Behind "[1]" comes the full stop of the sentence it ended: a "sentence"
  // without a word is no statement, and the marker shares the last one.
  for (auto it = sentences.rbegin(); it != sentences.rend(); ++it) {
    size_t begin = it->begin;
    while (begin < it->end && absl::ascii_ispunct(segment[begin]) &&
           segment[begin] != '"' && segment[begin] != '(') {
      ++begin;
    }
    while (begin < it->end && absl::ascii_isspace(segment[begin])) ++begin;
    if (Words(segment.substr(begin, it->end - begin)).empty()) continue;
    statement_begin_ = segment_begin_ + begin;
    statement_end_ = segment_begin_ + it->end;
    return;
  }
}

const CitationMarkers::IndexedSentence* CitationMarkers::BestSentence(
    IndexedPassage& passage) const {
  const std::vector<std::string> statement =
      Words(absl::string_view(answer_).substr(
          statement_begin_, statement_end_ - statement_begin_));
  const IndexedSentence* best = nullptr;
  double best_score = 0;
  for (const IndexedSentence& sentence : passage.sentences) {
    double score = 0;
    for (const std::string& word : statement) {
      if (std::binary_search(sentence.words.begin(), sentence.words.end(),
                             word)) {
        score += passage.weights[word];
      }
    }
    // Long sentences share words by chance.
    score /= std::sqrt(1.0 + static_cast<double>(sentence.words.size()));
    if (score > best_score) {
      best_score = score;
      best = &sentence;
    }
  }
  return best;
}

std::vector<AnswerCitation> CitationMarkers::Add(absl::string_view delta) {
  answer_.append(delta.data(), delta.size());
  std::vector<AnswerCitation> citations;
  while (true) {
    const size_t open = answer_.find('[', scanned_);
    if (open == std::string::npos) {
      scanned_ = answer_.size();
      return citations;
    }
    const size_t close = answer_.find_first_of("[]", open + 1);
    if (close == std::string::npos &&
        answer_.size() - open <= kMaxMarkerBytes) {
      scanned_ = open;  // it may still become a marker
      return citations;
    }
    if (close == std::string::npos || answer_[close] == '[') {
      scanned_ = open + 1;
      continue;
    }
    scanned_ = close + 1;
    const std::vector<size_t> numbers =
        Numbers(absl::string_view(answer_).substr(open + 1, close - open - 1));
    if (numbers.empty()) continue;
    FindStatement(open);
    segment_begin_ = close + 1;
    if (statement_end_ == statement_begin_) continue;
    for (const size_t number : numbers) {
      if (number == 0 || number > passages_.size()) continue;
      const IndexedSentence* sentence = BestSentence(Indexed(number - 1));
      if (sentence == nullptr) continue;
      const GroundingPassage& passage = passages_[number - 1];
      AnswerCitation citation;
      citation.answer_begin = statement_begin_;
      citation.answer_end = statement_end_;
      citation.passage = number - 1;
      citation.text_begin = passage.text_begin + sentence->begin;
      citation.text_end = passage.text_begin + sentence->end;
      citation.quote =
          passage.text.substr(sentence->begin, sentence->end - sentence->begin);
      citations.push_back(std::move(citation));
    }
  }
}

}  // namespace braid::generation
