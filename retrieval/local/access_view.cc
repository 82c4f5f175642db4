#include "retrieval/local/access_view.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {

std::vector<ChunkId> AccessView::Readable(
    absl::Span<const ChunkId> chunks) const {
  std::vector<ChunkId> readable;
  std::copy_if(chunks.begin(), chunks.end(), std::back_inserter(readable),
               [this](ChunkId id) { return readable_->Contains(id); });
  return readable;
}

absl::StatusOr<std::vector<ScoredChunk>> AccessView::SearchTitles(
    absl::string_view words, size_t limit, const ChunkBitmap* allowed) const {
  if (allowed == nullptr) {
    return view_->SearchTitles(words, limit, readable_.get());
  }
  ChunkBitmap both = *allowed;
  both.IntersectWith(*readable_);
  return view_->SearchTitles(words, limit, &both);
}

absl::StatusOr<std::vector<ScoredChunk>> AccessView::ScoreBm25(
    absl::string_view text, absl::Span<const ChunkId> chunks) const {
  return view_->ScoreBm25(text, Readable(chunks));
}

absl::StatusOr<std::vector<ScoredChunk>> AccessView::ScoreDense(
    absl::Span<const float> vector, absl::Span<const ChunkId> chunks) const {
  return view_->ScoreDense(vector, Readable(chunks));
}

absl::StatusOr<std::vector<Passage>> AccessView::Fetch(
    absl::Span<const ChunkId> chunks) const {
  return view_->Fetch(Readable(chunks));
}

absl::StatusOr<std::string> AccessView::ReadText(const std::string& document_id,
                                                 uint64_t version,
                                                 const ByteRange& range) const {
  const absl::StatusOr<DocumentInfo> document =
      view_->store().GetDocument(view_->collection(), document_id);
  if (!document.ok()) return document.status();
  // All of a document or nothing.
  if (!readable_->Contains(document->first_chunk)) {
    return absl::NotFoundError(
        absl::StrCat("there is no document \"", document_id, "\""));
  }
  return view_->ReadText(document_id, version, range);
}

}  // namespace braid::retrieval
