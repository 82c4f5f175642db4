#include "fusion/context_plan.h"

#include <algorithm>
#include <tuple>

namespace braid::fusion {
namespace {

// Joins passages of one document version whose ranges touch, overlap, or leave
// a gap of at most `gap` bytes. Order on return: document, version, begin.
std::vector<PlannedPassage> MergeNeighbours(std::vector<PlannedPassage> in,
                                            uint64_t gap) {
  std::sort(
      in.begin(), in.end(),
      [](const PlannedPassage& a, const PlannedPassage& b) {
        return std::tie(a.document_id, a.version, a.text_begin, a.text_end) <
               std::tie(b.document_id, b.version, b.text_begin, b.text_end);
      });
  std::vector<PlannedPassage> merged;
  for (PlannedPassage& passage : in) {
    if (!merged.empty()) {
      PlannedPassage& last = merged.back();
      if (last.document_id == passage.document_id &&
          last.version == passage.version &&
          passage.text_begin <= last.text_end + gap) {
        last.text_end = std::max(last.text_end, passage.text_end);
        last.token_count += passage.token_count;
        if (passage.score > last.score) {
          last.score = passage.score;
          last.ids.insert(last.ids.begin(), passage.ids.begin(),
                          passage.ids.end());
        } else {
          last.ids.insert(last.ids.end(), passage.ids.begin(),
                          passage.ids.end());
        }
        continue;
      }
    }
    merged.push_back(std::move(passage));
  }
  return merged;
}

}  // namespace

ContextPlan PlanContext(absl::Span<const ContextCandidate> candidates,
                        const ContextOptions& options) {
  ContextPlan plan;
  std::vector<PlannedPassage> taken;
  for (const ContextCandidate& candidate : candidates) {
    if (taken.size() >= options.max_passages) {
      plan.dropped.push_back({candidate.id, "passage_limit"});
      continue;
    }
    if (candidate.token_count > options.max_tokens - plan.token_count) {
      plan.dropped.push_back({candidate.id, "token_budget"});
      continue;
    }
    plan.token_count += candidate.token_count;
    PlannedPassage& passage = taken.emplace_back();
    passage.document_id = candidate.document_id;
    passage.version = candidate.version;
    passage.text_begin = candidate.text_begin;
    passage.text_end = candidate.text_end;
    passage.token_count = candidate.token_count;
    passage.score = candidate.score;
    passage.ids = {candidate.id};
  }

  plan.passages = MergeNeighbours(std::move(taken), options.merge_gap_bytes);
  std::stable_sort(plan.passages.begin(), plan.passages.end(),
                   [](const PlannedPassage& a, const PlannedPassage& b) {
                     return a.score > b.score;
                   });
  return plan;
}

}  // namespace braid::fusion
