// A view for somebody who may see a part of it.
#ifndef BRAID_RETRIEVAL_LOCAL_ACCESS_VIEW_H_
#define BRAID_RETRIEVAL_LOCAL_ACCESS_VIEW_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "retrieval/backend.h"
#include "retrieval/chunk_bitmap.h"
#include "retrieval/local/collection_view.h"

namespace braid::retrieval {

// Whatever the rest of a query asks of the view (neighbours of a passage, the
// names in it, the text of a citation) is answered as if the other documents
// were not there. Immutable; thread-safe.
class AccessView : public ReadView {
 public:
  // `readable` is what may be seen of `view`.
  AccessView(std::shared_ptr<const CollectionView> view,
             std::shared_ptr<const ChunkBitmap> readable)
      : view_(std::move(view)), readable_(std::move(readable)) {}

  Sequence sequence() const override { return view_->sequence(); }
  absl::StatusOr<std::vector<ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const ChunkBitmap* allowed) const override;
  absl::StatusOr<std::vector<ScoredChunk>> ScoreBm25(
      absl::string_view text, absl::Span<const ChunkId> chunks) const override;
  absl::StatusOr<std::vector<ScoredChunk>> ScoreDense(
      absl::Span<const float> vector,
      absl::Span<const ChunkId> chunks) const override;
  absl::StatusOr<std::vector<Passage>> Fetch(
      absl::Span<const ChunkId> chunks) const override;
  absl::StatusOr<std::string> ReadText(const std::string& document_id,
                                       uint64_t version,
                                       const ByteRange& range) const override;

 private:
  // Those of `chunks` that are readable.
  std::vector<ChunkId> Readable(absl::Span<const ChunkId> chunks) const;

  const std::shared_ptr<const CollectionView> view_;
  const std::shared_ptr<const ChunkBitmap> readable_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_ACCESS_VIEW_H_
