#include "services/pipeline/context.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "fusion/context_plan.h"
#include "services/pipeline/parents.h"
#include "services/pipeline/stage_clock.h"

namespace braid::services {
namespace {

class Planner {
 public:
  Planner(const ContextQuery& query, const PipelineResult& found)
      : query_(query), found_(found) {}

  absl::StatusOr<std::vector<ContextPassage>> Plan() {
    absl::StatusOr<std::vector<fusion::ContextCandidate>> candidates =
        Candidates();
    if (!candidates.ok()) return candidates.status();
    fusion::ContextOptions options;
    options.max_tokens = query_.max_context_tokens;
    options.max_passages = query_.search.top_k;
    const fusion::ContextPlan plan = fusion::PlanContext(*candidates, options);
    std::vector<ContextPassage> passages;
    for (const fusion::PlannedPassage& planned : plan.passages) {
      absl::StatusOr<ContextPassage> passage = Read(planned);
      if (!passage.ok()) return passage.status();
      passages.push_back(*std::move(passage));
    }
    return passages;
  }

 private:
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

  absl::StatusOr<ContextPassage> Read(
      const fusion::PlannedPassage& planned) const {
    ContextPassage out;
    out.document_id = planned.document_id;
    out.version = planned.version;
    out.text_range = {planned.text_begin, planned.text_end};
    out.score = planned.score;
    for (const retrieval::Chunk& chunk : chunks_) {
      if (chunk.document_id == planned.document_id &&
          chunk.version == planned.version &&
          chunk.span.text_range.begin >= planned.text_begin &&
          chunk.span.text_range.end <= planned.text_end) {
        out.chunks.push_back(chunk);
      }
    }
    for (const FoundPassage& found : found_.passages) {
      const retrieval::Passage& passage = found.passage;
      if (passage.chunk.id != planned.ids.front()) continue;
      out.title = passage.title;
      if (passage.chunk.span.text_range == out.text_range) {
        out.text = passage.text;
      }
    }
    if (!out.text.empty()) return out;
    absl::StatusOr<std::string> text = found_.view->ReadText(
        planned.document_id, planned.version, out.text_range);
    if (!text.ok()) return text.status();
    out.text = *std::move(text);
    return out;
  }

  const ContextQuery& query_;
  const PipelineResult& found_;
  std::vector<retrieval::Chunk> chunks_;  // that candidates are made of
};

}  // namespace

absl::StatusOr<Context> BuildContext(retrieval::RetrievalBackend& backend,
                                     const fusion::Reranker* reranker,
                                     const ContextQuery& query,
                                     const FoundSink& on_found) {
  const StageClock clock(query.search.begin.value_or(StageClock::Clock::now()));
  absl::StatusOr<PipelineResult> found =
      RunSearch(backend, reranker, query.search);
  if (!found.ok()) return found.status();
  Context context;
  context.found = *std::move(found);
  if (!on_found(context.found)) {
    return absl::CancelledError("the receiver of the answer is gone");
  }
  const absl::Duration start = clock.Now();
  absl::StatusOr<std::vector<ContextPassage>> passages =
      Planner(query, context.found).Plan();
  if (!passages.ok()) return passages.status();
  context.passages = *std::move(passages);
  context.read_stored = [view = context.found.view](
                            const ContextPassage& passage,
                            const retrieval::ByteRange& range) {
    return view->ReadText(passage.document_id, passage.version, range);
  };
  const StageTime planned = clock.End("plan", start);
  context.found.stages.push_back(planned);
  if (query.search.on_stage) query.search.on_stage(planned);
  return context;
}

}  // namespace braid::services
