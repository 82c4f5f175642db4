#include "retrieval/ingest/source_map.h"

#include <algorithm>

namespace braid::retrieval {

void SourceMapBuilder::Add(ByteRange text, ByteRange source) {
  if (!runs_.empty() && text.size() == source.size()) {
    SourceRun& last = runs_.back();
    if (last.text.size() == last.source.size() && last.text.end == text.begin &&
        last.source.end == source.begin) {
      last.text.end = text.end;
      last.source.end = source.end;
      return;
    }
  }
  runs_.push_back({text, source});
}

ByteRange MapToSource(absl::Span<const SourceRun> runs, ByteRange text) {
  if (runs.empty()) return text;
  auto first = std::partition_point(
      runs.begin(), runs.end(),
      [&](const SourceRun& run) { return run.text.end <= text.begin; });
  if (first == runs.end()) {
    const uint64_t end = runs.back().source.end;
    return {end, end};
  }
  if (text.size() == 0 || first->text.begin >= text.end) {
    return {first->source.begin, first->source.begin};
  }
  ByteRange result{UINT64_MAX, 0};
  for (auto run = first; run != runs.end() && run->text.begin < text.end;
       ++run) {
    ByteRange source = run->source;
    if (run->text.size() == run->source.size()) {
      if (text.begin > run->text.begin) {
        source.begin += text.begin - run->text.begin;
      }
      if (text.end < run->text.end) source.end -= run->text.end - text.end;
    }
    // Not simply first and last: HTML moves text out of broken tables.
    result.begin = std::min(result.begin, source.begin);
    result.end = std::max(result.end, source.end);
  }
  return result;
}

}  // namespace braid::retrieval
