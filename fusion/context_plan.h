// The context plan: which passages the generator reads, and in what order.
#ifndef BRAID_FUSION_CONTEXT_PLAN_H_
#define BRAID_FUSION_CONTEXT_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::fusion {

// A candidate for the context, best first.
struct ContextCandidate {
  uint64_t id = 0;
  std::string document_id;
  uint64_t version = 0;
  uint64_t text_begin = 0;  // bytes in the document's text
  uint64_t text_end = 0;
  uint32_t token_count = 0;
  double score = 0;
};

struct ContextOptions {
  uint32_t max_tokens = 2048;
  size_t max_passages = 8;
  // Gaps of at most so many bytes between passages of one document are closed:
  // the passages become one.
  uint64_t merge_gap_bytes = 2;
};

// One passage of the plan: a range of a document that one or more candidates
// cover.
struct PlannedPassage {
  std::string document_id;
  uint64_t version = 0;
  uint64_t text_begin = 0;
  uint64_t text_end = 0;
  uint32_t token_count = 0;   // sum over its candidates
  double score = 0;           // of its best candidate
  std::vector<uint64_t> ids;  // its candidates, best first
};

struct DroppedCandidate {
  uint64_t id = 0;
  std::string reason;  // `token_budget`, `passage_limit`
};

// Passages in the order in which they are read, best first.
struct ContextPlan {
  std::vector<PlannedPassage> passages;
  std::vector<DroppedCandidate> dropped;
  uint32_t token_count = 0;
};

// Takes candidates in order while they fit the budget (one that does not fit is
// skipped, smaller ones after it may still fit), merges neighbours of the same
// document version, and orders by score.
ContextPlan PlanContext(absl::Span<const ContextCandidate> candidates,
                        const ContextOptions& options);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_CONTEXT_PLAN_H_
