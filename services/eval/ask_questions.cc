#include "services/eval/ask_questions.h"

#include <map>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/eval/answer_metrics.h"
#include "services/pipeline/answer_pipeline.h"
#include "services/server/validate.h"

namespace braid::services {
namespace {

class Asker {
 public:
  Asker(Runtime& runtime, v1::AnswerRequest request,
        const std::stop_token& stop)
      : runtime_(runtime), request_(std::move(request)), stop_(stop) {}

  // `judgements` null for a question that has none.
  absl::Status Ask(const DatasetQuery& question, bool answerable,
                   const Judgements* judgements) {
    request_.set_question(question.text);
    absl::StatusOr<AnswerQuery> query =
        Parse(request_, runtime_.config().limits);
    if (!query.ok()) return query.status();
    query->search.query.stop = stop_;
    AskedQuestion asked;
    asked.id = question.id;
    asked.answerable = answerable;
    asked.gold = question.answers;
    std::set<std::string> relevant = RelevantOf(judgements);
    asked.judged = !relevant.empty();
    asked.relevant = relevant.size();
    const absl::Time start = absl::Now();
    const absl::Status status = RunAnswer(
        [this](const ContextQuery& context, const FoundSink& on_found) {
          return BuildContext(runtime_.backend(), runtime_.reranker(), context,
                              on_found);
        },
        runtime_.answerer(), *query,
        [&](const PipelineEvent& event) {
          Take(event, relevant, &asked);
          return true;
        });
    if (!status.ok()) return status;
    stages_["total"].push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    for (const std::string& document : cited_) {
      asked.relevant_cited += relevant.count(document);
    }
    cited_.clear();
    asked_.push_back(std::move(asked));
    return absl::OkStatus();
  }

  Json Questions() const { return QuestionsReport(asked_); }

  Json Report() const {
    Json report = {{"answerer", runtime_.answerer().name()}};
    report.update(AnswerReport(asked_));
    report["abstain_reasons"] = Json::object();
    for (const auto& [reason, count] : reasons_) {
      report["abstain_reasons"][reason] = count;
    }
    for (const auto& [stage, samples] : stages_) {
      report["latency_ms"][stage] = ToJson(ComputePercentiles(samples));
    }
    return report;
  }

 private:
  static std::set<std::string> RelevantOf(const Judgements* judgements) {
    std::set<std::string> relevant;
    if (judgements == nullptr) return relevant;
    for (const auto& [document, score] : *judgements) {
      if (score > 0) relevant.insert(document);
    }
    return relevant;
  }

  void Take(const PipelineEvent& event, const std::set<std::string>& relevant,
            AskedQuestion* asked) {
    if (const auto* stage = std::get_if<StageTime>(&event)) {
      stages_[stage->stage].push_back(
          absl::ToDoubleMilliseconds(stage->elapsed));
    } else if (const auto* delta =
                   std::get_if<generation::AnswerDelta>(&event)) {
      asked->answer += delta->text;
    } else if (const auto* citation = std::get_if<VerifiedCitation>(&event)) {
      ++asked->citations;
      asked->right_citations += relevant.count(citation->document_id);
      cited_.insert(citation->document_id);
    } else if (const auto* end = std::get_if<AnswerEnd>(&event)) {
      asked->abstained =
          end->finish_reason == generation::FinishReason::kAbstained;
      if (asked->abstained) ++reasons_[end->abstain_reason];
    }
  }

  Runtime& runtime_;
  v1::AnswerRequest request_;
  const std::stop_token stop_;
  std::set<std::string> cited_;  // documents, of the question being asked
  std::vector<AskedQuestion> asked_;
  std::map<std::string, uint64_t> reasons_;
  std::map<std::string, std::vector<double>> stages_;
};

}  // namespace

absl::StatusOr<Answers> AskQuestions(
    Runtime& runtime, v1::AnswerRequest request,
    const std::vector<DatasetQuery>& queries, const Qrels& qrels,
    const std::vector<DatasetQuery>& unanswerable, const ProgressSink& progress,
    const std::stop_token& stop) {
  Asker asker(runtime, std::move(request), stop);
  const uint64_t total = queries.size() + unanswerable.size();
  uint64_t done = 0;
  for (const bool answerable : {true, false}) {
    for (const DatasetQuery& query : answerable ? queries : unanswerable) {
      if (stop.stop_requested()) return absl::CancelledError("interrupted");
      if (!absl::StripAsciiWhitespace(query.text).empty()) {
        const auto judged = qrels.find(query.id);
        const absl::Status status = asker.Ask(
            query, answerable,
            answerable && judged != qrels.end() ? &judged->second : nullptr);
        if (!status.ok()) {
          return absl::Status(
              status.code(),
              absl::StrCat("question ", query.id, ": ", status.message()));
        }
      }
      progress("Asking", ++done, total);
    }
  }
  return Answers{asker.Report(), asker.Questions()};
}

}  // namespace braid::services
