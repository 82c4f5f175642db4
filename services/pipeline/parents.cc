#include "services/pipeline/parents.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

namespace braid::services {
namespace {

// Neighbours that are looked at on each side: very small chunks are not worth
// more.
constexpr uint64_t kMaxNeighbours = 16;

std::string Section(const retrieval::Chunk& chunk) {
  return chunk.span.headings.empty() ? "" : chunk.span.headings.front();
}

}  // namespace

absl::StatusOr<Parent> WidenToParent(
    const retrieval::ReadView& view, const retrieval::Chunk& child,
    uint32_t max_tokens, const std::set<retrieval::ChunkId>& taken) {
  // The chunks of a document version have consecutive ids.
  const uint64_t before = std::min<uint64_t>(kMaxNeighbours, child.ordinal);
  std::vector<retrieval::ChunkId> ids;
  for (uint64_t i = 0; i <= before + kMaxNeighbours; ++i) {
    const retrieval::ChunkId id = child.id - before + i;
    if (id != child.id) ids.push_back(id);
  }
  auto fetched = view.Fetch(ids);
  if (!fetched.ok()) return fetched.status();
  std::deque<retrieval::Chunk> earlier;  // nearest first
  std::deque<retrieval::Chunk> later;
  for (retrieval::Passage& passage : *fetched) {
    if (passage.chunk.document_id != child.document_id ||
        passage.chunk.version != child.version) {
      continue;
    }
    if (passage.chunk.id < child.id) {
      earlier.push_front(std::move(passage.chunk));
    } else {
      later.push_back(std::move(passage.chunk));
    }
  }

  Parent parent;
  parent.token_count = child.span.token_count;
  std::deque<retrieval::Chunk> chunks = {child};
  const auto take = [&](std::deque<retrieval::Chunk>* side, bool back) {
    if (side->empty()) return;
    retrieval::Chunk& next = side->front();
    if (taken.contains(next.id) || Section(next) != Section(child) ||
        parent.token_count + next.span.token_count > max_tokens) {
      side->clear();
      return;
    }
    parent.token_count += next.span.token_count;
    if (back) {
      chunks.push_back(std::move(next));
    } else {
      chunks.push_front(std::move(next));
    }
    side->pop_front();
  };
  while (!earlier.empty() || !later.empty()) {
    take(&later, /*back=*/true);
    take(&earlier, /*back=*/false);
  }
  parent.text_range = {chunks.front().span.text_range.begin,
                       chunks.back().span.text_range.end};
  parent.chunks.assign(std::make_move_iterator(chunks.begin()),
                       std::make_move_iterator(chunks.end()));
  return parent;
}

}  // namespace braid::services
