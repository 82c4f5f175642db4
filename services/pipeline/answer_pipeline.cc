#include "services/pipeline/answer_pipeline.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "fusion/context_plan.h"
#include "services/pipeline/parents.h"
#include "services/pipeline/stage_clock.h"
#include "services/text.h"

namespace braid::services {
namespace {

// The search gets so much of the time, so that the answer gets the rest.
constexpr double kSearchShare = 0.6;
// With less time than this left no answer is begun.
constexpr absl::Duration kMinGenerateTime = absl::Milliseconds(5);

// `now` to `deadline`, cut to a share of it.
absl::Time ShareOf(absl::Time deadline, double share) {
  if (deadline == absl::InfiniteFuture()) return deadline;
  const absl::Time now = absl::Now();
  return now + std::max(deadline - now, absl::ZeroDuration()) * share;
}

class AnswerRun {
 public:
  AnswerRun(Runtime& runtime, const AnswerQuery& query,
            const PipelineSink& sink)
      : runtime_(runtime),
        query_(query),
        sink_(sink),
        begin_(query.search.begin.value_or(StageClock::Clock::now())),
        clock_(begin_) {}

  absl::Status Run() {
    absl::Status status = Search();
    if (absl::IsDeadlineExceeded(status)) return EndEarly("search");
    if (!status.ok()) return status;
    status = Plan();
    if (!status.ok()) return status;
    if (query_.search.query.deadline - absl::Now() < kMinGenerateTime) {
      return EndEarly("generate");
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

  absl::Status Search() {
    PipelineQuery search = query_.search;
    search.begin = begin_;
    search.query.deadline = ShareOf(query_.search.query.deadline, kSearchShare);
    search.on_stage = [this](const StageTime& stage) { Send(stage); };
    absl::StatusOr<PipelineResult> found =
        RunSearch(runtime_.backend(), runtime_.reranker(), search);
    if (!found.ok()) return found.status();
    found_ = *std::move(found);
    end_.degraded = found_.degraded;
    return Send(&found_) ? absl::OkStatus() : Gone();
  }

  // Decides what is read, and reads it from the view the search saw.
  absl::Status Plan() {
    const absl::Duration start = clock_.Now();
    absl::StatusOr<std::vector<fusion::ContextCandidate>> candidates =
        Candidates();
    if (!candidates.ok()) return candidates.status();
    fusion::ContextOptions options;
    options.max_tokens = query_.max_context_tokens;
    options.max_passages = query_.search.top_k;
    plan_ = fusion::PlanContext(*candidates, options);
    request_.question = query_.search.query.text;
    for (const fusion::PlannedPassage& planned : plan_.passages) {
      absl::StatusOr<generation::GroundingPassage> passage = Read(planned);
      if (!passage.ok()) return passage.status();
      request_.passages.push_back(*std::move(passage));
    }
    return Send(clock_.End("plan", start)) ? absl::OkStatus() : Gone();
  }

  // What was found, or what stands around it where the collection says so. A
  // chunk that a better one's parent holds adds nothing.
  absl::StatusOr<std::vector<fusion::ContextCandidate>> Candidates() {
    std::vector<fusion::ContextCandidate> candidates;
    std::set<retrieval::ChunkId> taken;
    // A parent that the context has no room for would be left out whole.
    const uint32_t parent_tokens =
        std::min(query_.parent_tokens, query_.max_context_tokens);
    for (const FoundPassage& found : found_.passages) {
      const retrieval::Chunk& chunk = found.passage.chunk;
      if (taken.contains(chunk.id)) continue;
      fusion::ContextCandidate& candidate = candidates.emplace_back();
      candidate.id = chunk.id;
      candidate.document_id = chunk.document_id;
      candidate.version = chunk.version;
      candidate.score = found.score;
      Parent parent = {chunk.span.text_range, chunk.span.token_count, {chunk}};
      if (parent_tokens > 0) {
        absl::StatusOr<Parent> widened =
            WidenToParent(*found_.view, chunk, parent_tokens, taken);
        if (!widened.ok()) return widened.status();
        parent = *std::move(widened);
      }
      candidate.text_begin = parent.text_range.begin;
      candidate.text_end = parent.text_range.end;
      candidate.token_count = parent.token_count;
      for (retrieval::Chunk& part : parent.chunks) {
        taken.insert(part.id);
        chunks_.push_back(std::move(part));
      }
    }
    return candidates;
  }

  absl::StatusOr<generation::GroundingPassage> Read(
      const fusion::PlannedPassage& planned) const {
    generation::GroundingPassage out;
    out.document_id = planned.document_id;
    out.version = planned.version;
    out.text_begin = planned.text_begin;
    out.score = planned.score;
    const retrieval::ByteRange range{planned.text_begin, planned.text_end};
    for (const FoundPassage& found : found_.passages) {
      const retrieval::Passage& passage = found.passage;
      if (passage.chunk.id != planned.ids.front()) continue;
      out.title = passage.title;
      if (passage.chunk.span.text_range == range) out.text = passage.text;
    }
    if (!out.text.empty()) return out;
    absl::StatusOr<std::string> text =
        found_.view->ReadText(planned.document_id, planned.version, range);
    if (!text.ok()) return text.status();
    out.text = *std::move(text);
    return out;
  }

  // The chunk of the plan's passage that `range` lies in (or that it shares
  // most bytes with, where several were read as one).
  retrieval::ChunkId ChunkAt(const fusion::PlannedPassage& planned,
                             const retrieval::ByteRange& range) const {
    retrieval::ChunkId best = planned.ids.front();
    uint64_t best_shared = 0;
    for (const retrieval::Chunk& chunk : chunks_) {
      if (chunk.document_id != planned.document_id ||
          chunk.version != planned.version) {
        continue;
      }
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
    if (citation.passage >= plan_.passages.size()) return std::nullopt;
    const fusion::PlannedPassage& planned = plan_.passages[citation.passage];
    if (citation.text_begin < planned.text_begin ||
        citation.text_end > planned.text_end ||
        citation.text_begin >= citation.text_end ||
        citation.answer_begin >= citation.answer_end ||
        citation.answer_end > answer_bytes_) {
      return std::nullopt;
    }
    const retrieval::ByteRange range{citation.text_begin, citation.text_end};
    absl::StatusOr<std::string> stored =
        found_.view->ReadText(planned.document_id, planned.version, range);
    if (!stored.ok() || *stored != citation.quote || !IsUtf8(*stored)) {
      return std::nullopt;
    }
    VerifiedCitation verified;
    verified.answer_begin = citation.answer_begin;
    verified.answer_end = citation.answer_end;
    verified.document_id = planned.document_id;
    verified.version = planned.version;
    verified.text_range = range;
    verified.quote = *std::move(stored);
    verified.title = request_.passages[citation.passage].title;
    verified.chunk = ChunkAt(planned, range);
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
    request_.max_answer_tokens = query_.max_answer_tokens;
    request_.sampling = query_.sampling;
    request_.deadline = query_.search.query.deadline;
    absl::Status status = runtime_.answerer().Answer(
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
      return absl::InternalError(absl::StrCat("the answerer `",
                                              runtime_.answerer().name(),
                                              "` ended without a final event"));
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

  Runtime& runtime_;
  const AnswerQuery& query_;
  const PipelineSink& sink_;
  const StageClock::Clock::time_point begin_;
  const StageClock clock_;

  PipelineResult found_;
  std::vector<retrieval::Chunk> chunks_;  // that candidates are made of
  fusion::ContextPlan plan_;
  generation::AnswerRequest request_;  // passages parallel to the plan's
  uint64_t answer_bytes_ = 0;          // of the deltas sent
  uint32_t citations_ = 0;
  generation::AnswerUsage usage_;
  std::optional<generation::AnswerFinal> final_;
  AnswerEnd end_;
  bool gone_ = false;
};

}  // namespace

absl::Status RunAnswer(Runtime& runtime, const AnswerQuery& query,
                       const PipelineSink& sink) {
  return AnswerRun(runtime, query, sink).Run();
}

}  // namespace braid::services
