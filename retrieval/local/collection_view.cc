#include "retrieval/local/collection_view.h"

#include "absl/strings/str_cat.h"

namespace braid::retrieval {

absl::StatusOr<std::vector<Passage>> CollectionView::Fetch(
    absl::Span<const ChunkId> chunks) const {
  return store_->GetPassages(collection_, chunks);
}

absl::StatusOr<std::string> CollectionView::ReadText(
    const std::string& document_id, uint64_t version,
    const ByteRange& range) const {
  const absl::StatusOr<DocumentInfo> document =
      store_->GetDocument(collection_, document_id);
  if (!document.ok()) return document.status();
  if (document->version != version) {
    return absl::NotFoundError(
        absl::StrCat("document \"", document_id, "\" is there in version ",
                     document->version, ", not ", version));
  }
  return store_->GetTextRange(collection_, *document, range);
}

}  // namespace braid::retrieval
