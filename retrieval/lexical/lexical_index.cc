#include "retrieval/lexical/lexical_index.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/lexical/ffi/lexical_ffi.h"

namespace braid::retrieval {
namespace {

// Frees `message`.
absl::Status ToStatus(int32_t code, char* message, absl::string_view doing) {
  if (code == BRAID_LEXICAL_OK) return absl::OkStatus();
  const std::string text =
      absl::StrCat("lexical index: ", doing, ": ",
                   message == nullptr ? "unknown error" : message);
  braid_lexical_free_error(message);
  switch (code) {
    case BRAID_LEXICAL_INVALID_ARGUMENT:
      return absl::InvalidArgumentError(text);
    case BRAID_LEXICAL_IN_USE:
      return absl::FailedPreconditionError(text);
    case BRAID_LEXICAL_IO:
      return absl::UnavailableError(text);
    case BRAID_LEXICAL_DAMAGED:
      return absl::DataLossError(text);
    case BRAID_LEXICAL_NOT_FOUND:
      return absl::NotFoundError(text);
    default:
      return absl::InternalError(text);
  }
}

class TantivySnapshot : public LexicalSnapshot {
 public:
  explicit TantivySnapshot(const braid_lexical_snapshot* snapshot)
      : snapshot_(snapshot) {}
  ~TantivySnapshot() override { braid_lexical_snapshot_release(snapshot_); }
  TantivySnapshot(const TantivySnapshot&) = delete;
  TantivySnapshot& operator=(const TantivySnapshot&) = delete;

  absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::string_view query, size_t limit,
      const ChunkBitmap* allowed) const override {
    return Search(query, /*titles=*/false, limit, allowed);
  }

  absl::StatusOr<std::vector<ScoredChunk>> SearchTitles(
      absl::string_view words, size_t limit,
      const ChunkBitmap* allowed) const override {
    return Search(words, /*titles=*/true, limit, allowed);
  }

  absl::StatusOr<std::vector<ScoredChunk>> Score(
      absl::string_view query,
      absl::Span<const ChunkId> chunks) const override {
    if (snapshot_ == nullptr) return NoSnapshot();
    braid_lexical_hit* hits = nullptr;
    size_t count = 0;
    char* message = nullptr;
    const int32_t code = braid_lexical_score(
        snapshot_, query.data(), query.size(), chunks.data(), chunks.size(),
        &hits, &count, &message);
    if (code != BRAID_LEXICAL_OK) return ToStatus(code, message, "score");
    return Take(hits, count);
  }

  absl::StatusOr<std::vector<ChunkId>> Chunks() const override {
    if (snapshot_ == nullptr) return NoSnapshot();
    uint64_t* chunks = nullptr;
    size_t count = 0;
    char* message = nullptr;
    const int32_t code =
        braid_lexical_chunks(snapshot_, &chunks, &count, &message);
    if (code != BRAID_LEXICAL_OK) return ToStatus(code, message, "list");
    std::vector<ChunkId> ids(chunks, chunks + count);
    braid_lexical_free_chunks(chunks, count);
    return ids;
  }

 private:
  absl::StatusOr<std::vector<ScoredChunk>> Search(
      absl::string_view query, bool titles, size_t limit,
      const ChunkBitmap* allowed) const {
    if (snapshot_ == nullptr) return NoSnapshot();
    braid_lexical_hit* hits = nullptr;
    size_t count = 0;
    char* message = nullptr;
    const int32_t code = braid_lexical_search(
        snapshot_, query.data(), query.size(), titles, limit,
        allowed != nullptr,
        allowed == nullptr ? nullptr : allowed->words().data(),
        allowed == nullptr ? 0 : allowed->words().size(), &hits, &count,
        &message);
    if (code != BRAID_LEXICAL_OK) return ToStatus(code, message, "search");
    return Take(hits, count);
  }
  static std::vector<ScoredChunk> Take(braid_lexical_hit* hits, size_t count) {
    std::vector<ScoredChunk> found(count);
    for (size_t i = 0; i < count; ++i) {
      found[i] = {.chunk = hits[i].chunk, .score = hits[i].score};
    }
    braid_lexical_free_hits(hits, count);
    return found;
  }
  // snapshot() cannot return a status, so that its failure shows here.
  static absl::Status NoSnapshot() {
    return absl::InternalError("lexical index: no snapshot could be opened");
  }

  const braid_lexical_snapshot* const snapshot_;
};

class TantivyIndex : public LexicalIndex {
 public:
  explicit TantivyIndex(braid_lexical_index* index) : index_(index) {}
  ~TantivyIndex() override { braid_lexical_close(index_); }
  TantivyIndex(const TantivyIndex&) = delete;
  TantivyIndex& operator=(const TantivyIndex&) = delete;

  absl::Status Add(const LexicalDocument& document) override {
    char* message = nullptr;
    const int32_t code = braid_lexical_add(
        index_, document.chunk, document.title.data(), document.title.size(),
        document.text.data(), document.text.size(), &message);
    return ToStatus(code, message, "add");
  }

  absl::Status Delete(ChunkId chunk) override {
    char* message = nullptr;
    const int32_t code = braid_lexical_delete(index_, chunk, &message);
    return ToStatus(code, message, "delete");
  }

  absl::Status Commit(Sequence sequence) override {
    char* message = nullptr;
    const int32_t code = braid_lexical_commit(index_, sequence, &message);
    return ToStatus(code, message, "commit");
  }

  Sequence committed_sequence() const override {
    uint64_t sequence = 0;
    braid_lexical_committed_sequence(index_, &sequence, nullptr);
    return sequence;
  }

  std::shared_ptr<const LexicalSnapshot> snapshot() const override {
    const braid_lexical_snapshot* snapshot = nullptr;
    braid_lexical_snapshot_open(index_, &snapshot, nullptr);
    return std::make_shared<TantivySnapshot>(snapshot);
  }

  absl::Status Verify() const override {
    char* message = nullptr;
    const int32_t code = braid_lexical_verify(index_, &message);
    return ToStatus(code, message, "verify");
  }

 private:
  braid_lexical_index* const index_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LexicalIndex>> LexicalIndex::Open(
    const std::string& directory, const std::string& language) {
  braid_lexical_index* index = nullptr;
  char* message = nullptr;
  const int32_t code =
      braid_lexical_open(directory.data(), directory.size(), language.data(),
                         language.size(), &index, &message);
  if (code != BRAID_LEXICAL_OK) {
    return ToStatus(code, message, absl::StrCat("open ", directory));
  }
  return std::make_unique<TantivyIndex>(index);
}

absl::StatusOr<LexicalContents> ReadLexicalIndex(const std::string& directory,
                                                 const std::string& language) {
  uint64_t sequence = 0;
  uint64_t* chunks = nullptr;
  size_t count = 0;
  char* message = nullptr;
  const int32_t code =
      braid_lexical_read(directory.data(), directory.size(), language.data(),
                         language.size(), &sequence, &chunks, &count, &message);
  if (code != BRAID_LEXICAL_OK) return ToStatus(code, message, "read");
  LexicalContents contents{.sequence = sequence,
                           .chunks = {chunks, chunks + count}};
  braid_lexical_free_chunks(chunks, count);
  return contents;
}

}  // namespace braid::retrieval
