#include "retrieval/local/index_leg.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace braid::retrieval {
namespace {

// Passages are read this many at a time: each carries its document's metadata,
// and a document may have many chunks.
constexpr uint32_t kReadChunks = 128;

absl::Status RemoveDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot remove ", directory, ": ", error.message()));
  }
  return absl::OkStatus();
}

absl::Status CreateDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot create ", directory, ": ", error.message()));
  }
  return absl::OkStatus();
}

}  // namespace

std::string IndexedTitle(const Passage& passage) {
  std::string title = passage.title;
  const std::vector<std::string>& headings = passage.chunk.span.headings;
  for (size_t i = 0; i < headings.size(); ++i) {
    if (headings[i].empty() || (i == 0 && headings[i] == passage.title)) {
      continue;
    }
    absl::StrAppend(&title, title.empty() ? "" : " ", headings[i]);
  }
  return title;
}

absl::Status IndexLeg::Reset() {
  Close();
  applied_ = 0;
  if (absl::Status status = RemoveDirectory(directory_); !status.ok()) {
    return status;
  }
  return Open();
}

LexicalLeg::LexicalLeg(std::string directory, const CollectionConfig& config,
                       const IndexFactories& factories)
    : IndexLeg(std::move(directory)), config_(config), factories_(factories) {}

absl::Status LexicalLeg::Open() {
  index_.reset();
  if (absl::Status status = CreateDirectory(directory_); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<LexicalIndex>> index =
      factories_.lexical(directory_, config_.language);
  if (!index.ok()) return index.status();
  index_ = *std::move(index);
  applied_ = index_->committed_sequence();
  rebuilding_ = false;
  return absl::OkStatus();
}

absl::Status LexicalLeg::Add(const StoreSnapshot& snapshot,
                             const DocumentInfo& document) {
  for (uint32_t begin = 0; begin < document.chunk_count; begin += kReadChunks) {
    std::vector<ChunkId> ids(
        std::min(kReadChunks, document.chunk_count - begin));
    std::iota(ids.begin(), ids.end(), document.first_chunk + begin);
    const absl::StatusOr<std::vector<Passage>> passages =
        snapshot.GetPassages(config_.id, ids);
    if (!passages.ok()) return passages.status();
    if (passages->size() != ids.size()) {
      return absl::DataLossError(absl::StrCat(
          "the store lost chunks of document \"", document.id, "\""));
    }
    for (const Passage& passage : *passages) {
      const std::string title = IndexedTitle(passage);
      if (absl::Status status = index_->Add({.chunk = passage.chunk.id,
                                             .title = title,
                                             .text = passage.text});
          !status.ok()) {
        return status;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status LexicalLeg::Delete(ChunkId first, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (absl::Status status = index_->Delete(first + i); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status LexicalLeg::Commit(Sequence sequence) {
  if (index_->committed_sequence() == sequence) return absl::OkStatus();
  return index_->Commit(sequence);
}

DenseLeg::DenseLeg(std::string directory, const CollectionConfig& config,
                   size_t seal_vectors, const IndexFactories& factories)
    : IndexLeg(std::move(directory)),
      config_(config),
      options_{.dimension = config.dimension, .seal_vectors = seal_vectors},
      factories_(factories) {}

absl::Status DenseLeg::Open() {
  index_.reset();
  if (absl::Status status = CreateDirectory(directory_); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<DenseIndex>> index =
      factories_.dense(directory_, options_);
  if (!index.ok()) return index.status();
  index_ = *std::move(index);
  applied_ = index_->committed_sequence();
  rebuilding_ = false;
  return absl::OkStatus();
}

absl::Status DenseLeg::Add(const StoreSnapshot& snapshot,
                           const DocumentInfo& document) {
  for (uint32_t begin = 0; begin < document.chunk_count; begin += kReadChunks) {
    std::vector<ChunkId> ids(
        std::min(kReadChunks, document.chunk_count - begin));
    std::iota(ids.begin(), ids.end(), document.first_chunk + begin);
    const absl::StatusOr<std::vector<float>> vectors = snapshot.GetVectors(
        config_.id, ids[0], static_cast<uint32_t>(ids.size()));
    if (!vectors.ok()) return vectors.status();
    if (absl::Status status = index_->Add(ids, *vectors); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status DenseLeg::Delete(ChunkId first, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (absl::Status status = index_->Delete(first + i); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status DenseLeg::Publish(Sequence) {
  index_->Publish();
  return absl::OkStatus();
}

absl::Status DenseLeg::Commit(Sequence sequence) {
  if (index_->committed_sequence() == sequence) return absl::OkStatus();
  return index_->Commit(sequence);
}

bool DenseLeg::CommitDue() const {
  return index_->uncommitted() >=
         std::max<size_t>(options_.seal_vectors / 2, 1);
}

}  // namespace braid::retrieval
