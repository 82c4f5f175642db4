// Merging of passages that say the same.
#ifndef BRAID_FUSION_NEAR_DUPLICATES_H_
#define BRAID_FUSION_NEAR_DUPLICATES_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::fusion {

struct NearDuplicateOptions {
  // Two texts are near-duplicates from this Jaccard similarity of their sets of
  // word 3-grams on (case and punctuation do not count).
  double min_similarity = 0.9;
};

// For each text the index of the text it duplicates: the first (best ranked)
// one, or its own index if it duplicates none before it.
std::vector<size_t> FindNearDuplicates(
    absl::Span<const absl::string_view> texts,
    const NearDuplicateOptions& options);

}  // namespace braid::fusion

#endif  // BRAID_FUSION_NEAR_DUPLICATES_H_
