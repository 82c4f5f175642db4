// What searches of a collection see: both indexes and the store at one
// sequence.
#ifndef BRAID_RETRIEVAL_LOCAL_COLLECTION_VIEW_H_
#define BRAID_RETRIEVAL_LOCAL_COLLECTION_VIEW_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "retrieval/backend.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/lexical/lexical_index.h"
#include "retrieval/store/store.h"

namespace braid::retrieval {

// Immutable; thread-safe.
class CollectionView : public ReadView {
 public:
  CollectionView(std::string collection, Sequence sequence,
                 std::shared_ptr<const LexicalSnapshot> lexical,
                 std::shared_ptr<const DenseSnapshot> dense,
                 std::shared_ptr<const StoreSnapshot> store)
      : collection_(std::move(collection)),
        sequence_(sequence),
        lexical_(std::move(lexical)),
        dense_(std::move(dense)),
        store_(std::move(store)) {}

  Sequence sequence() const override { return sequence_; }
  absl::StatusOr<std::vector<ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const ChunkBitmap* allowed) const override {
    return lexical_->SearchTitles(words, limit, allowed);
  }
  absl::StatusOr<std::vector<ScoredChunk>> ScoreBm25(
      absl::string_view text, absl::Span<const ChunkId> chunks) const override {
    return lexical_->Score(text, chunks);
  }
  absl::StatusOr<std::vector<ScoredChunk>> ScoreDense(
      absl::Span<const float> vector,
      absl::Span<const ChunkId> chunks) const override {
    return dense_->Score(vector, chunks);
  }
  absl::StatusOr<std::vector<Passage>> Fetch(
      absl::Span<const ChunkId> chunks) const override;
  absl::StatusOr<std::string> ReadText(const std::string& document_id,
                                       uint64_t version,
                                       const ByteRange& range) const override;

  const std::string& collection() const { return collection_; }
  const std::shared_ptr<const LexicalSnapshot>& lexical() const {
    return lexical_;
  }
  const std::shared_ptr<const DenseSnapshot>& dense() const { return dense_; }
  const StoreSnapshot& store() const { return *store_; }

 private:
  const std::string collection_;
  const Sequence sequence_;
  const std::shared_ptr<const LexicalSnapshot> lexical_;
  const std::shared_ptr<const DenseSnapshot> dense_;
  const std::shared_ptr<const StoreSnapshot> store_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_LOCAL_COLLECTION_VIEW_H_
