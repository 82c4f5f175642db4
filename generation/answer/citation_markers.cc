#include "generation/answer/citation_markers.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "generation/answer/sentences.h"

namespace braid::generation {
namespace {

// "[12, 3]" is long enough; longer brackets are text.
constexpr size_t kMaxMarkerBytes = 32;

// Bytes of other scripts count as letters.
bool IsWordByte(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '_' || c >= 0x80;
}

// Distinct lower-case words.
std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i <= text.size(); ++i) {
    const unsigned char c = i < text.size() ? text[i] : ' ';
    if (IsWordByte(c)) {
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

void CitationMarkers::FindStatement() {
  const absl::string_view segment =
      absl::string_view(answer_).substr(segment_begin_);
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
      if (word.size() == 1 && absl::ascii_isalpha(word[0])) continue;  // "a"
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

std::vector<AnswerCitation> CitationMarkers::Cite(
    const std::vector<size_t>& numbers) {
  std::vector<AnswerCitation> citations;
  FindStatement();
  if (statement_end_ == statement_begin_) return citations;
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
  return citations;
}

void CitationMarkers::Send(size_t bytes, std::vector<AnswerEvent>& events) {
  if (bytes == 0) return;
  std::string text = held_.substr(0, bytes);
  held_.erase(0, bytes);
  answer_ += text;
  if (!events.empty()) {
    if (auto* last = std::get_if<AnswerDelta>(&events.back())) {
      last->text += text;
      return;
    }
  }
  events.push_back(AnswerDelta{std::move(text)});
}

std::vector<AnswerEvent> CitationMarkers::Add(absl::string_view delta) {
  held_.append(delta.data(), delta.size());
  std::vector<AnswerEvent> events;
  while (true) {
    if (answer_.empty()) {
      held_ = std::string(absl::StripLeadingAsciiWhitespace(held_));
    }
    const size_t open = std::min(held_.find('['), held_.size());
    const size_t text_end = absl::StripTrailingAsciiWhitespace(
                                absl::string_view(held_).substr(0, open))
                                .size();
    Send(text_end, events);
    const size_t spaces = open - text_end;
    if (spaces == held_.size()) return events;
    const size_t close = held_.find_first_of("[]", spaces + 1);
    if (close == std::string::npos &&
        held_.size() - spaces <= kMaxMarkerBytes) {
      return events;  // it may still become a marker
    }
    if (close == std::string::npos || held_[close] == '[') {
      Send(spaces + 1, events);
      continue;
    }
    const std::vector<size_t> numbers = Numbers(
        absl::string_view(held_).substr(spaces + 1, close - spaces - 1));
    std::vector<AnswerCitation> citations;
    if (!numbers.empty()) citations = Cite(numbers);
    const bool alone = spaces > 0 || answer_.size() == segment_begin_ ||
                       !IsWordByte(answer_.back());
    const bool passages =
        !numbers.empty() &&
        std::all_of(numbers.begin(), numbers.end(), [&](size_t number) {
          return number > 0 && number <= passages_.size();
        });
    if (citations.empty() && !(alone && passages)) {
      Send(close + 1, events);
      continue;
    }
    held_.erase(0, close + 1);
    segment_begin_ = answer_.size();
    for (AnswerCitation& citation : citations) {
      events.push_back(std::move(citation));
    }
  }
}

std::vector<AnswerEvent> CitationMarkers::Finish() {
  std::vector<AnswerEvent> events;
  Send(absl::StripTrailingAsciiWhitespace(held_).size(), events);
  return events;
}

}  // namespace braid::generation
