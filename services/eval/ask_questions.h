// Asks the service's answer pipeline the questions of a set.
#ifndef BRAID_SERVICES_EVAL_ASK_QUESTIONS_H_
#define BRAID_SERVICES_EVAL_ASK_QUESTIONS_H_

#include <braid/v1/answer_service.pb.h>

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/eval/beir.h"
#include "services/eval/index_corpus.h"
#include "services/eval/json.h"
#include "services/runtime.h"

namespace braid::services {

struct Answers {
  // AnswerReport (answer_metrics.h) and
  //   answerer                  who answered
  //   abstain_reasons.REASON    how often each was given
  //   latency_ms.STAGE          percentiles, `total` for all of an answer
  Json report;
  Json questions;  // QuestionsReport
};

// Asks all `queries`, then `unanswerable`, with `request`, whose question each
// becomes, and no deadline. A question of blanks is left out. An error names
// the query.
absl::StatusOr<Answers> AskQuestions(
    Runtime& runtime, v1::AnswerRequest request,
    const std::vector<DatasetQuery>& queries, const Qrels& qrels,
    const std::vector<DatasetQuery>& unanswerable, const ProgressSink& progress,
    const std::stop_token& stop);

}  // namespace braid::services

#endif  // BRAID_SERVICES_EVAL_ASK_QUESTIONS_H_
