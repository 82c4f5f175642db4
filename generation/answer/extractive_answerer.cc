#include "generation/answer/extractive_answerer.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "generation/answer/question_terms.h"
#include "generation/answer/sentences.h"

namespace braid::generation {
namespace {

// An identifier says more about what is asked than any word.
constexpr double kIdentifierWeight = 3.0;
// A term that stands not in the sentence but near it, where pronouns and table
// cells leave it out.
constexpr double kInTitle = 0.5;
constexpr double kInPreviousSentence = 0.5;
constexpr double kInPassage = 0.25;
// Similarities from here (unrelated) to there (the answer) span 0 to 1.
constexpr double kUnrelated = 0.1;
constexpr double kRelated = 0.75;
constexpr double kCoverageShare = 0.5;
// What names a topic, or asks, does not answer.
constexpr double kHeadingFactor = 0.5;
constexpr double kQuestionFactor = 0.6;
constexpr double kShortFactor = 0.7;
constexpr size_t kShortBytes = 20;
// Each place further down the passages, in support.
constexpr double kRankCost = 0.01;
constexpr size_t kRanksThatCount = 10;
// Others stay only if they come this close to the best.
constexpr double kLeastOfBest = 0.75;
// Rough size of a token, for the answer's limit.
constexpr size_t kBytesPerToken = 4;

struct Candidate {
  size_t passage = 0;
  Sentence sentence;
  absl::string_view text;
  double coverage = 0;  // 0 to 1
  double support = 0;   // 0 to 1
  double rank_score = 0;
};

bool IsUtf8(absl::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    UChar32 c = -1;
    U8_NEXT(bytes, at, text.size(), c);
    if (c < 0) return false;
  }
  return true;
}

double RankCost(size_t passage) {
  return kRankCost * static_cast<double>(std::min(passage, kRanksThatCount));
}

// Term weights: inverse frequency over the sentences at hand. A term that no
// sentence holds weighs most: what it asks is not answered here.
std::vector<double> TermWeights(const std::vector<QuestionTerm>& terms,
                                const std::vector<std::vector<bool>>& holds) {
  const auto count = static_cast<double>(holds.size());
  std::vector<double> weights(terms.size());
  for (size_t t = 0; t < terms.size(); ++t) {
    double with = 0;
    for (const std::vector<bool>& sentence : holds) with += sentence[t] ? 1 : 0;
    weights[t] = std::log(1.0 + (count - with + 0.5) / (with + 0.5));
    if (terms[t].identifier) weights[t] *= kIdentifierWeight;
  }
  return weights;
}

// An identifier that is nothing but a name for one thing: `40P01`,
// `max_wal_size`; not `JavaScript`, which texts may well take for granted.
bool IsCode(const QuestionTerm& term) {
  return term.identifier &&
         term.text.find_first_of("0123456789_") != std::string::npos;
}

// Whether the question asks by codes of which the passages hold none: then
// whatever they say is said of something else.
bool AsksForWhatIsNotHere(const std::vector<QuestionTerm>& terms,
                          const std::vector<std::vector<bool>>& titles,
                          const std::vector<std::vector<bool>>& whole) {
  bool asked = false;
  for (size_t t = 0; t < terms.size(); ++t) {
    if (!IsCode(terms[t])) continue;
    asked = true;
    for (size_t p = 0; p < whole.size(); ++p) {
      if (titles[p][t] || whole[p][t]) return false;
    }
  }
  return asked;
}

// Sentences of all passages with the share of the question they hold.
std::vector<Candidate> FindCandidates(const AnswerRequest& request) {
  const std::vector<QuestionTerm> terms = QuestionTerms(request.question);
  const auto contains = [&terms](const TermText& text) {
    std::vector<bool> found(terms.size());
    for (size_t t = 0; t < terms.size(); ++t)
      found[t] = text.Contains(terms[t]);
    return found;
  };

  std::vector<Candidate> candidates;
  std::vector<std::vector<bool>> holds;   // per candidate
  std::vector<std::vector<bool>> titles;  // per passage
  std::vector<std::vector<bool>> whole;   // per passage
  absl::flat_hash_set<std::string> seen;
  for (size_t p = 0; p < request.passages.size(); ++p) {
    const GroundingPassage& passage = request.passages[p];
    titles.push_back(contains(ReadTerms(passage.title)));
    whole.push_back(contains(ReadTerms(passage.text)));
    for (const Sentence& sentence : SplitSentences(passage.text)) {
      const absl::string_view text =
          absl::string_view(passage.text)
              .substr(sentence.begin, sentence.end - sentence.begin);
      // Overlapping passages and copies say it once.
      if (!IsUtf8(text) || !seen.emplace(text).second) continue;
      candidates.push_back({.passage = p, .sentence = sentence, .text = text});
      holds.push_back(contains(ReadTerms(text)));
    }
  }

  if (AsksForWhatIsNotHere(terms, titles, whole)) return {};

  const std::vector<double> weights = TermWeights(terms, holds);
  double total = 0;
  for (const double weight : weights) total += weight;
  if (total <= 0) return candidates;
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate& candidate = candidates[i];
    const bool follows =
        i > 0 && candidates[i - 1].passage == candidate.passage;
    double sum = 0;
    bool any = false;
    double near = 0;
    for (size_t t = 0; t < terms.size(); ++t) {
      if (holds[i][t]) {
        sum += weights[t];
        any = true;
      } else if (follows && holds[i - 1][t]) {
        near += kInPreviousSentence * weights[t];
      } else if (titles[candidate.passage][t]) {
        near += kInTitle * weights[t];
      } else if (whole[candidate.passage][t]) {
        near += kInPassage * weights[t];
      }
    }
    // A sentence that shares nothing itself is not carried by its neighbours.
    candidate.coverage = (sum + (any ? near : 0)) / total;
  }
  return candidates;
}

// Keeps the `limit` candidates worth a look by the encoder: most of them those
// with the best coverage, the rest the first ones of the best passages, which a
// question in other words may mean.
void Preselect(size_t limit, std::vector<Candidate>& candidates) {
  if (candidates.size() <= limit) return;
  std::vector<size_t> order(candidates.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto promise = [&candidates](size_t i) {
    return candidates[i].coverage - RankCost(candidates[i].passage);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return promise(a) > promise(b); });
  const size_t by_coverage = limit - limit / 4;
  std::sort(order.begin() + by_coverage, order.end());
  order.resize(limit);
  std::sort(order.begin(), order.end());
  std::vector<Candidate> kept;
  kept.reserve(limit);
  for (const size_t i : order) kept.push_back(candidates[i]);
  candidates = std::move(kept);
}

void Score(absl::Span<const float> similarities,
           std::vector<Candidate>& candidates) {
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate& candidate = candidates[i];
    double support = candidate.coverage;
    if (!similarities.empty()) {
      const double similar =
          std::clamp((static_cast<double>(similarities[i]) - kUnrelated) /
                         (kRelated - kUnrelated),
                     0.0, 1.0);
      support =
          kCoverageShare * candidate.coverage + (1 - kCoverageShare) * similar;
    }
    const SentenceKind kind = candidate.sentence.kind;
    if (kind == SentenceKind::kHeading) {
      support *= kHeadingFactor;
    } else if (candidate.text.back() == '?') {
      support *= kQuestionFactor;
    } else if (kind == SentenceKind::kProse &&
               candidate.text.size() < kShortBytes) {
      support *= kShortFactor;
    }
    candidate.support = support;
    candidate.rank_score = support - RankCost(candidate.passage);
  }
}

// The sentences of the answer in the order they are told: the passage of the
// best one first, each passage in reading order.
std::vector<Candidate> Choose(const ExtractiveOptions& options,
                              std::vector<Candidate> candidates) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.rank_score > b.rank_score;
                   });
  const auto best =
      std::max_element(candidates.begin(), candidates.end(),
                       [](const Candidate& a, const Candidate& b) {
                         return a.support < b.support;
                       });
  if (best == candidates.end() || best->support < options.min_support ||
      best->support <= 0) {
    return {};
  }
  const double least =
      std::max(options.min_support, kLeastOfBest * best->support);
  std::vector<Candidate> chosen;
  std::vector<size_t> passages;  // in order of their best sentence
  for (const Candidate& candidate : candidates) {
    if (chosen.size() >= std::max<size_t>(options.max_sentences, 1)) break;
    if (candidate.support < least) continue;
    chosen.push_back(candidate);
    if (std::find(passages.begin(), passages.end(), candidate.passage) ==
        passages.end()) {
      passages.push_back(candidate.passage);
    }
  }
  const auto place = [&passages](const Candidate& candidate) {
    return std::make_pair(
        std::find(passages.begin(), passages.end(), candidate.passage),
        candidate.sentence.begin);
  };
  std::sort(chosen.begin(), chosen.end(),
            [&](const Candidate& a, const Candidate& b) {
              return place(a) < place(b);
            });
  return chosen;
}

// What stands between two sentences of the answer.
absl::string_view Separator(const Candidate& before, const Candidate& next) {
  const bool runs_on = before.passage == next.passage &&
                       before.sentence.block == next.sentence.block;
  const bool prose = before.sentence.kind == SentenceKind::kProse &&
                     next.sentence.kind == SentenceKind::kProse;
  return runs_on || prose ? " " : "\n";
}

// The first `limit` bytes, cut after a word if there is one, never within a
// character.
absl::string_view Cut(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  const size_t blank = text.substr(0, end).find_last_of(" \t\n");
  if (blank != absl::string_view::npos && blank > 0) end = blank;
  return text.substr(0, end);
}

// Why to end early, if so.
std::optional<FinishReason> Interrupted(const AnswerRequest& request,
                                        const std::stop_token& stop) {
  if (stop.stop_requested()) return FinishReason::kCancelled;
  if (std::chrono::steady_clock::now() >= request.deadline) {
    return FinishReason::kDeadline;
  }
  return std::nullopt;
}

class ExtractiveAnswerer : public Answerer {
 public:
  ExtractiveAnswerer(SentenceSimilarity similarity,
                     const ExtractiveOptions& options)
      : similarity_(std::move(similarity)), options_(options) {}

  const std::string& name() const override { return name_; }

  absl::Status Answer(const AnswerRequest& request, const AnswerSink& sink,
                      std::stop_token stop) override {
    if (request.passages.empty()) {
      return Finish(sink, FinishReason::kAbstained, "no_passages");
    }
    std::vector<Candidate> candidates = FindCandidates(request);
    Preselect(std::max<size_t>(options_.max_scored_sentences, 1), candidates);
    if (const auto reason = Interrupted(request, stop)) {
      return Finish(sink, *reason, "");
    }
    std::vector<float> similarities;
    if (similarity_ != nullptr && !candidates.empty()) {
      std::vector<absl::string_view> texts;
      for (const Candidate& candidate : candidates) {
        texts.push_back(candidate.text);
      }
      absl::StatusOr<std::vector<float>> similar =
          similarity_(request.question, texts,
                      [&] { return !Interrupted(request, stop).has_value(); });
      if (const auto reason = Interrupted(request, stop)) {
        return Finish(sink, *reason, "");
      }
      if (!similar.ok()) return similar.status();
      if (similar->size() != texts.size()) {
        return absl::InternalError(
            absl::StrCat("extractive answer: ", similar->size(),
                         " similarities for ", texts.size(), " sentences"));
      }
      similarities = *std::move(similar);
    }
    Score(similarities, candidates);
    const std::vector<Candidate> chosen =
        Choose(options_, std::move(candidates));
    if (const auto reason = Interrupted(request, stop)) {
      return Finish(sink, *reason, "");
    }
    if (chosen.empty()) {
      return Finish(sink, FinishReason::kAbstained, "no_support");
    }
    return Tell(request, chosen, sink, stop);
  }

 private:
  static absl::Status Gone() {
    return absl::CancelledError("extractive answer: the receiver is gone");
  }

  static absl::Status Finish(const AnswerSink& sink, FinishReason reason,
                             std::string abstain_reason) {
    if (!sink(AnswerUsage{})) return Gone();
    if (!sink(AnswerFinal{reason, std::move(abstain_reason)})) return Gone();
    return absl::OkStatus();
  }

  static absl::Status Tell(const AnswerRequest& request,
                           const std::vector<Candidate>& chosen,
                           const AnswerSink& sink,
                           const std::stop_token& stop) {
    const size_t budget = size_t{request.max_answer_tokens} * kBytesPerToken;
    FinishReason reason = FinishReason::kStop;
    uint64_t told = 0;
    const Candidate* before = nullptr;
    for (const Candidate& candidate : chosen) {
      if (const auto interrupted = Interrupted(request, stop)) {
        reason = *interrupted;
        break;
      }
      const absl::string_view separator =
          before == nullptr ? "" : Separator(*before, candidate);
      absl::string_view text = candidate.text;
      if (told + separator.size() + text.size() > budget) {
        reason = FinishReason::kLength;
        // Half a sentence only where there would be nothing else.
        if (before != nullptr) continue;
        text = Cut(text, budget);
        if (text.empty()) break;
      }
      if (!sink(AnswerDelta{absl::StrCat(separator, text)})) return Gone();
      const GroundingPassage& passage = request.passages[candidate.passage];
      AnswerCitation citation;
      citation.answer_begin = told + separator.size();
      citation.answer_end = citation.answer_begin + text.size();
      citation.passage = candidate.passage;
      citation.text_begin = passage.text_begin + candidate.sentence.begin;
      citation.text_end = citation.text_begin + text.size();
      citation.quote = std::string(text);
      told = citation.answer_end;
      if (!sink(std::move(citation))) return Gone();
      before = &candidate;
    }
    return Finish(sink, reason, "");
  }

  const std::string name_ = "extractive";
  const SentenceSimilarity similarity_;
  const ExtractiveOptions options_;
};

}  // namespace

std::unique_ptr<Answerer> MakeExtractiveAnswerer(
    SentenceSimilarity similarity, const ExtractiveOptions& options) {
  return std::make_unique<ExtractiveAnswerer>(std::move(similarity), options);
}

}  // namespace braid::generation
