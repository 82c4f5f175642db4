#include "services/eval/answer_metrics.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace braid::services {
namespace {

bool IsArticle(absl::string_view word) {
  return word == "a" || word == "an" || word == "the";
}

// What a word is made of, where an article ends.
bool IsWordCharacter(UChar32 c) {
  return u_isalnum(c) || u_charType(c) == U_LETTER_NUMBER ||
         u_charType(c) == U_OTHER_NUMBER;
}

// Lower case; bytes that are no UTF-8 and white space become blanks, ASCII
// punctuation goes, then articles.
std::string Normalize(absl::string_view text) {
  std::string out;
  size_t word = 0;  // where the run of word characters at the end begins
  const auto end_word = [&out, &word] {
    if (IsArticle(absl::string_view(out).substr(word))) {
      out.resize(word);
      out.push_back(' ');
    }
  };
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    UChar32 c = -1;
    U8_NEXT(bytes, at, text.size(), c);
    if (c >= 0 && c < 0x80 &&
        absl::ascii_ispunct(static_cast<unsigned char>(c))) {
      continue;
    }
    const bool in_word = c >= 0 && IsWordCharacter(c);
    if (!in_word) end_word();
    if (c < 0 || u_isUWhiteSpace(c)) {
      out.push_back(' ');
    } else {
      char encoded[U8_MAX_LENGTH];
      int32_t length = 0;
      U8_APPEND_UNSAFE(encoded, length, u_tolower(c));
      out.append(encoded, static_cast<size_t>(length));
    }
    if (!in_word) word = out.size();
  }
  end_word();
  return out;
}

double F1(const std::vector<std::string>& answer,
          const std::vector<std::string>& gold) {
  // As the script of SQuAD 2.0: nothing matches nothing only.
  if (answer.empty() || gold.empty()) return answer == gold ? 1 : 0;
  std::map<std::string, int64_t> counts;
  for (const std::string& word : gold) ++counts[word];
  double common = 0;
  for (const std::string& word : answer) {
    if (counts[word]-- > 0) ++common;
  }
  return 2 * common / static_cast<double>(answer.size() + gold.size());
}

bool Contains(const std::vector<std::string>& answer,
              const std::vector<std::string>& gold) {
  return !gold.empty() && std::search(answer.begin(), answer.end(),
                                      gold.begin(), gold.end()) != answer.end();
}

Json Share(double part, uint64_t whole) {
  if (whole == 0) return nullptr;
  return part / static_cast<double>(whole);
}

struct Matches {
  uint64_t questions = 0;
  double exact = 0;
  double f1 = 0;
  double contains = 0;

  void Add(const AnswerMatch& match) {
    ++questions;
    exact += match.exact;
    f1 += match.f1;
    contains += match.contains;
  }
  void Report(Json* report) const {
    (*report)["exact_match"] = Share(exact, questions);
    (*report)["f1"] = Share(f1, questions);
    (*report)["contains"] = Share(contains, questions);
  }
};

Json CitationReport(absl::Span<const AskedQuestion> questions) {
  uint64_t citations = 0;
  uint64_t right = 0;
  uint64_t relevant = 0;
  uint64_t cited = 0;
  for (const AskedQuestion& question : questions) {
    if (!question.judged) continue;
    citations += question.citations;
    right += question.right_citations;
    relevant += question.relevant;
    cited += question.relevant_cited;
  }
  return {{"count", citations},
          {"precision", Share(static_cast<double>(right), citations)},
          {"recall", Share(static_cast<double>(cited), relevant)}};
}

Json AbstentionReport(absl::Span<const AskedQuestion> questions) {
  uint64_t unanswerable = 0;
  uint64_t abstained = 0;
  uint64_t right = 0;
  for (const AskedQuestion& question : questions) {
    if (!question.answerable) ++unanswerable;
    if (question.abstained) ++abstained;
    if (question.abstained && !question.answerable) ++right;
  }
  return {
      {"unanswerable", unanswerable},
      {"abstained", abstained},
      {"precision", Share(static_cast<double>(right), abstained)},
      {"recall", Share(static_cast<double>(right), unanswerable)},
      {"f1", Share(2 * static_cast<double>(right), abstained + unanswerable)}};
}

bool HasGold(const AskedQuestion& question) {
  return question.answerable && !question.gold.empty();
}

AnswerMatch MatchOf(const AskedQuestion& question) {
  if (question.abstained) return {};
  return MatchAnswer(question.answer, question.gold);
}

}  // namespace

std::vector<std::string> AnswerWords(absl::string_view text) {
  return absl::StrSplit(Normalize(text), ' ', absl::SkipEmpty());
}

AnswerMatch MatchAnswer(absl::string_view answer,
                        absl::Span<const std::string> gold) {
  const std::vector<std::string> words = AnswerWords(answer);
  AnswerMatch best;
  for (const std::string& one : gold) {
    const std::vector<std::string> right = AnswerWords(one);
    if (words == right) best.exact = 1;
    best.f1 = std::max(best.f1, F1(words, right));
    if (Contains(words, right)) best.contains = 1;
  }
  return best;
}

Json AnswerReport(absl::Span<const AskedQuestion> questions) {
  Matches all;
  Matches answered;
  bool any_unanswerable = false;
  for (const AskedQuestion& question : questions) {
    any_unanswerable = any_unanswerable || !question.answerable;
    if (!HasGold(question)) continue;
    const AnswerMatch match = MatchOf(question);
    all.Add(match);
    if (!question.abstained) answered.Add(match);
  }
  Json report = {{"questions", questions.size()}, {"with_gold", all.questions}};
  all.Report(&report);
  report["answered"] = {{"questions", answered.questions}};
  answered.Report(&report["answered"]);
  report["citations"] = CitationReport(questions);
  if (any_unanswerable) report["abstention"] = AbstentionReport(questions);
  return report;
}

Json QuestionsReport(absl::Span<const AskedQuestion> questions) {
  Json report = Json::array();
  for (const AskedQuestion& question : questions) {
    Json row = {{"id", question.id},
                {"answerable", question.answerable},
                {"abstained", question.abstained},
                {"answer", question.answer},
                {"exact_match", nullptr},
                {"f1", nullptr},
                {"contains", nullptr},
                {"citations", question.citations},
                {"right_citations", nullptr},
                {"relevant", nullptr},
                {"relevant_cited", nullptr}};
    if (HasGold(question)) {
      const AnswerMatch match = MatchOf(question);
      row["exact_match"] = match.exact;
      row["f1"] = match.f1;
      row["contains"] = match.contains;
    }
    if (question.judged) {
      row["right_citations"] = question.right_citations;
      row["relevant"] = question.relevant;
      row["relevant_cited"] = question.relevant_cited;
    }
    report.push_back(std::move(row));
  }
  return report;
}

}  // namespace braid::services
