#include "retrieval/dense/dense_index.h"

#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "retrieval/dense/manifest.h"
#include "retrieval/dense/segment.h"
#include "retrieval/dense/segmented_index.h"

namespace braid::retrieval {
namespace {

absl::Status Check(const DenseIndexOptions& options) {
  if (options.dimension == 0 || options.dimension > kMaxDimension) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dimension ", options.dimension, " is not in 1..", kMaxDimension));
  }
  if (options.seal_vectors == 0 || options.seal_vectors > kMaxSegmentRows ||
      options.hnsw_m < 2 || options.hnsw_m > 512 ||
      options.hnsw_ef_construction < 1 || options.hnsw_ef_search < 1) {
    return absl::InvalidArgumentError("an HNSW setting is out of range");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DenseIndex>> DenseIndex::Open(
    const std::string& directory, const DenseIndexOptions& options) try {
  if (absl::Status status = Check(options); !status.ok()) return status;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::InternalError(
        absl::StrCat(directory, ": cannot create: ", error.message()));
  }
  auto index = std::make_unique<SegmentedIndex>(directory, options);
  absl::Status loaded = index->Load();
  if (absl::IsNotFound(loaded) || absl::IsDataLoss(loaded)) {
    // Nothing there, or nothing to trust: the store refills an empty index.
    if (absl::Status status = RemoveAll(directory); !status.ok()) return status;
    index = std::make_unique<SegmentedIndex>(directory, options);
  } else if (!loaded.ok()) {
    return loaded;
  }
  return std::unique_ptr<DenseIndex>(std::move(index));
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(
      absl::StrCat(directory, ": no memory for the index"));
}

}  // namespace braid::retrieval
