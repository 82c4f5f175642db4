#include "retrieval/dense/maintenance.h"

#include <map>

namespace braid::retrieval {
namespace {

constexpr size_t kMergeWidth = 4;

// 0 below four times the sealing size, 1 below sixteen times, and so on.
size_t SizeLevel(size_t live, size_t seal_vectors) {
  size_t level = 0;
  for (size_t size = live / kMergeWidth; size >= seal_vectors;
       size /= kMergeWidth) {
    ++level;
  }
  return level;
}

}  // namespace

std::vector<size_t> PlanRebuild(absl::Span<const SealedState> segments,
                                size_t seal_vectors) {
  const auto usable = [&](size_t i) {
    return !segments[i].excluded && segments[i].live > 0;
  };
  for (size_t i = 0; i < segments.size(); ++i) {
    if (usable(i) && segments[i].kind == SegmentKind::kFlat) return {i};
  }
  const auto small = [&](size_t i) {
    return segments[i].live < seal_vectors / 2;
  };
  for (size_t i = 0; i < segments.size(); ++i) {
    const SealedState& segment = segments[i];
    if (!usable(i) || (segment.rows - segment.live) * 5 <= segment.rows) {
      continue;
    }
    std::vector<size_t> sources = {i};
    for (size_t j = 0; small(i) && j < segments.size(); ++j) {
      if (j != i && usable(j) && small(j)) sources.push_back(j);
    }
    return sources;
  }
  std::map<size_t, std::vector<size_t>> levels;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (usable(i)) {
      levels[SizeLevel(segments[i].live, seal_vectors)].push_back(i);
    }
  }
  for (auto& [level, members] : levels) {
    if (members.size() < kMergeWidth) continue;
    members.resize(kMergeWidth);
    size_t live = 0;
    for (const size_t i : members) live += segments[i].live;
    if (live <= kMaxMergedVectors) return members;
  }
  return {};
}

}  // namespace braid::retrieval
