#include "services/pipeline/answer_pipeline.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/pipeline/stage_clock.h"
#include "services/text.h"

namespace braid::services {
namespace {

using Clock = StageClock::Clock;

// The search gets so much of the time, so that the answer gets the rest.
constexpr double kSearchShare = 0.6;
// With less time than this left no answer is begun.
constexpr std::chrono::milliseconds kMinGenerateTime(5);

// `now` to `deadline`, cut to a share of it.
Clock::time_point ShareOf(Clock::time_point deadline, double share) {
  if (deadline == Clock::time_point::max()) return deadline;
  const Clock::time_point now = Clock::now();
  return now + std::chrono::duration_cast<Clock::duration>(
                   std::max(deadline - now, Clock::duration::zero()) * share);
}

class AnswerRun {
 public:
  AnswerRun(const ContextSource& source, generation::Answerer& answerer,
            const AnswerQuery& query, const PipelineSink& sink)
      : source_(source),
        answerer_(answerer),
        query_(query),
        sink_(sink),
        begin_(query.search.begin.value_or(StageClock::Clock::now())),
        clock_(begin_) {}

  absl::Status Run() {
    absl::Status status = FindContext();
    if (absl::IsDeadlineExceeded(status)) return EndEarly("search");
    if (!status.ok()) return status;
    if (query_.search.query.deadline - Clock::now() < kMinGenerateTime) {
      return EndEarly("generate");
    }
    if (relevance_.has_value() && *relevance_ < query_.min_relevance) {
      end_.finish_reason = generation::FinishReason::kAbstained;
      end_.abstain_reason = "low_relevance";
      return SendEnd();
    }
    return Generate();
  }

 private:
  absl::Status Gone() const {
    return absl::CancelledError("the receiver of the answer is gone");
  }

  // All events go through here: once the sink says no, nothing is sent again.
  bool Send(const PipelineEvent& event) {
    gone_ = gone_ || !sink_(event);
    return !gone_;
  }

  absl::Status EndEarly(const char* stage) {
    end_.finish_reason = generation::FinishReason::kDeadline;
    end_.degraded.push_back(stage);
    return SendEnd();
  }

  absl::Status SendEnd() {
    if (Send(usage_) && Send(end_)) return absl::OkStatus();
    return Gone();
  }

  // Of the best passage, if a reranker looked at it.
  static std::optional<double> RelevanceOf(const PipelineResult& found) {
    if (found.passages.empty() ||
        !found.passages.front().rerank_logit.has_value()) {
      return std::nullopt;
    }
    return found.passages.front().score;
  }

  absl::Status FindContext() {
    ContextQuery query = query_;
    PipelineQuery& search = query.search;
    search.begin = begin_;
    search.query.deadline = ShareOf(search.query.deadline, kSearchShare);
    search.on_stage = [this](const StageTime& stage) { Send(stage); };
    absl::StatusOr<Context> context =
        source_(query, [this](const PipelineResult& found) {
          end_.degraded = found.degraded;
          relevance_ = RelevanceOf(found);
          return Send(&found);
        });
    if (gone_) return Gone();
    if (!context.ok()) return context.status();
    context_ = *std::move(context);
    request_.question = search.query.text;
    for (const ContextPassage& passage : context_.passages) {
      request_.passages.push_back({passage.document_id, passage.version,
                                   passage.text_range.begin, passage.title,
                                   passage.text, passage.score});
    }
    return absl::OkStatus();
  }

  // The chunk of the passage that `range` lies in (or that it shares most bytes
  // with, where several were read as one).
  static retrieval::ChunkId ChunkAt(const ContextPassage& passage,
                                    const retrieval::ByteRange& range) {
    retrieval::ChunkId best = passage.chunks.front().id;
    uint64_t best_shared = 0;
    for (const retrieval::Chunk& chunk : passage.chunks) {
      const uint64_t begin = std::max(range.begin, chunk.span.text_range.begin);
      const uint64_t end = std::min(range.end, chunk.span.text_range.end);
      if (begin < end && end - begin > best_shared) {
        best = chunk.id;
        best_shared = end - begin;
      }
    }
    return best;
  }

  // The citation as it may be sent, or nothing if any of its claims is false:
  // it must point into its passage and into text that was sent, and its quote
  // must be the stored bytes.
  std::optional<VerifiedCitation> Verify(
      const generation::AnswerCitation& citation) const {
    if (citation.passage >= context_.passages.size()) return std::nullopt;
    const ContextPassage& passage = context_.passages[citation.passage];
    if (citation.text_begin < passage.text_range.begin ||
        citation.text_end > passage.text_range.end ||
        citation.text_begin >= citation.text_end ||
        citation.answer_begin >= citation.answer_end ||
        citation.answer_end > answer_bytes_) {
      return std::nullopt;
    }
    const retrieval::ByteRange range{citation.text_begin, citation.text_end};
    absl::StatusOr<std::string> stored = context_.read_stored(passage, range);
    if (!stored.ok() || *stored != citation.quote || !IsUtf8(*stored)) {
      return std::nullopt;
    }
    VerifiedCitation verified;
    verified.answer_begin = citation.answer_begin;
    verified.answer_end = citation.answer_end;
    verified.document_id = passage.document_id;
    verified.version = passage.version;
    verified.text_range = range;
    verified.quote = *std::move(stored);
    verified.title = passage.title;
    verified.chunk = ChunkAt(passage, range);
    return verified;
  }

  bool Handle(const generation::AnswerEvent& event) {
    if (const auto* delta = std::get_if<generation::AnswerDelta>(&event)) {
      if (delta->text.empty()) return !gone_;
      answer_bytes_ += delta->text.size();
      return Send(*delta);
    }
    if (const auto* citation =
            std::get_if<generation::AnswerCitation>(&event)) {
      std::optional<VerifiedCitation> verified = Verify(*citation);
      if (!verified.has_value()) {
        ++end_.rejected_citations;
        return !gone_;
      }
      verified->number = ++citations_;
      return Send(*std::move(verified));
    }
    // Usage and the end wait until the stage has ended and been told of.
    if (const auto* usage = std::get_if<generation::AnswerUsage>(&event)) {
      usage_ = *usage;
    } else {
      final_ = std::get<generation::AnswerFinal>(event);
    }
    return !gone_;
  }

  absl::Status Generate() {
    const absl::Duration start = clock_.Now();
    request_.answerer = query_.answerer;
    request_.max_answer_tokens = query_.max_answer_tokens;
    request_.sampling = query_.sampling;
    request_.deadline = query_.search.query.deadline;
    absl::Status status = answerer_.Answer(
        request_,
        [this](const generation::AnswerEvent& event) { return Handle(event); },
        query_.search.query.stop);
    if (gone_) return Gone();
    if (absl::IsDeadlineExceeded(status)) {
      final_ = generation::AnswerFinal{generation::FinishReason::kDeadline, ""};
    } else if (!status.ok()) {
      return status;
    }
    if (!final_.has_value()) {
      return absl::InternalError(absl::StrCat(
          "the answerer `", answerer_.name(), "` ended without a final event"));
    }
    if (final_->finish_reason == generation::FinishReason::kCancelled) {
      return absl::CancelledError("the answer was cancelled");
    }
    if (!Send(clock_.End("generate", start))) return Gone();
    end_.finish_reason = final_->finish_reason;
    end_.abstain_reason = final_->abstain_reason;
    if (end_.finish_reason == generation::FinishReason::kDeadline) {
      end_.degraded.push_back("generate");
    }
    return SendEnd();
  }

  const ContextSource& source_;
  generation::Answerer& answerer_;
  const AnswerQuery& query_;
  const PipelineSink& sink_;
  const StageClock::Clock::time_point begin_;
  const StageClock clock_;

  Context context_;
  std::optional<double> relevance_;
  generation::AnswerRequest request_;  // passages parallel to the context's
  uint64_t answer_bytes_ = 0;          // of the deltas sent
  uint32_t citations_ = 0;
  generation::AnswerUsage usage_;
  std::optional<generation::AnswerFinal> final_;
  AnswerEnd end_;
  bool gone_ = false;
};

}  // namespace

absl::Status RunAnswer(const ContextSource& source,
                       generation::Answerer& answerer, const AnswerQuery& query,
                       const PipelineSink& sink) {
  return AnswerRun(source, answerer, query, sink).Run();
}

}  // namespace braid::services
