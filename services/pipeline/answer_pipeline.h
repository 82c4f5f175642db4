// The rest of a query's life: context plan, answerer, checked citations.
#ifndef BRAID_SERVICES_PIPELINE_ANSWER_PIPELINE_H_
#define BRAID_SERVICES_PIPELINE_ANSWER_PIPELINE_H_

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "generation/answer/answerer.h"
#include "services/pipeline/context.h"
#include "services/pipeline/search_pipeline.h"

namespace braid::services {

struct AnswerQuery : ContextQuery {
  generation::AnswererKind answerer = generation::AnswererKind::kDefault;
  uint32_t max_answer_tokens = 256;
  // Abstain if a reranker gives the best passage less than this probability.
  double min_relevance = 0;
  generation::SamplingParams sampling;
};

// A citation whose quote has been compared with the stored bytes.
struct VerifiedCitation {
  uint32_t number = 0;  // from 1
  uint64_t answer_begin = 0;
  uint64_t answer_end = 0;
  std::string document_id;
  uint64_t version = 0;
  retrieval::ByteRange text_range;
  std::string quote;
  std::string title;
  retrieval::ChunkId chunk = 0;
};

struct AnswerEnd {
  generation::FinishReason finish_reason = generation::FinishReason::kStop;
  std::string abstain_reason;
  std::vector<std::string> degraded;
  uint32_t rejected_citations = 0;
};

// The result of the search is lent for the duration of the sink's call.
using PipelineEvent =
    std::variant<StageTime, const PipelineResult*, generation::AnswerDelta,
                 VerifiedCitation, generation::AnswerUsage, AnswerEnd>;

// Returns false when the receiver is gone.
using PipelineSink = std::function<bool(const PipelineEvent&)>;

// Sends stages as they end, the passages once, deltas and citations as they
// come, usage, and the end as the last event. A citation whose bytes differ
// from the stored ones is dropped, counted, and never sent. When the deadline
// comes near, what is left is skipped and named in AnswerEnd::degraded. An
// error status means that no end was sent: NOT_FOUND, INVALID_ARGUMENT and the
// like from the search, CANCELLED when the stop token or the sink said so.
// Blocks.
absl::Status RunAnswer(const ContextSource& source,
                       generation::Answerer& answerer, const AnswerQuery& query,
                       const PipelineSink& sink);

}  // namespace braid::services

#endif  // BRAID_SERVICES_PIPELINE_ANSWER_PIPELINE_H_
