// Checking what is on the disk, of an index that is open and of one that is
// not.
#include <algorithm>
#include <new>

#include "absl/strings/str_cat.h"
#include "retrieval/dense/dense_index.h"
#include "retrieval/dense/manifest.h"
#include "retrieval/dense/segment_file.h"
#include "retrieval/dense/segmented_index.h"

namespace braid::retrieval {

absl::Status SegmentedIndex::Verify() const try {
  const std::lock_guard lock(mutex_);
  auto manifest = ReadManifest(directory_);
  if (absl::IsNotFound(manifest.status())) {
    if (committed_.sequence == 0 && committed_.segments.empty()) {
      return absl::OkStatus();  // never committed
    }
    return absl::DataLossError(
        absl::StrCat(directory_, ": the manifest is missing"));
  }
  if (!manifest.ok()) return manifest.status();
  if (manifest->sequence != committed_.sequence ||
      manifest->segments != committed_.segments) {
    return absl::DataLossError(
        absl::StrCat(directory_, ": the manifest is not the last one written"));
  }
  for (const ManifestSegment& listed : manifest->segments) {
    const absl::Status status =
        MapSegmentFile(SegmentPath(directory_, listed.file), listed.seal,
                       options_.dimension)
            .status();
    if (absl::IsNotFound(status)) return absl::DataLossError(status.message());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(
      absl::StrCat(directory_, ": no memory to verify the index"));
}

absl::StatusOr<DenseContents> ReadDenseIndex(
    const std::string& directory, size_t dimension,
    const std::function<void(ChunkId chunk, absl::Span<const float> vector)>&
        visit) try {
  const absl::StatusOr<Manifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return manifest.status();
  if (manifest->dimension != dimension) {
    return absl::DataLossError(absl::StrCat(directory, ": has dimension ",
                                            manifest->dimension, " instead of ",
                                            dimension));
  }
  DenseContents contents;
  contents.sequence = manifest->sequence;
  for (const ManifestSegment& listed : manifest->segments) {
    const std::string path = SegmentPath(directory, listed.file);
    const auto segment = MapSegmentFile(path, listed.seal, dimension);
    if (absl::IsNotFound(segment.status())) {
      return absl::DataLossError(segment.status().message());
    }
    if (!segment.ok()) return segment.status();
    for (size_t row = 0; row < (*segment)->rows(); ++row) {
      if (listed.dead.Contains(row)) continue;
      contents.chunks.push_back((*segment)->id(row));
      visit((*segment)->id(row), {(*segment)->vector(row), dimension});
    }
  }
  std::sort(contents.chunks.begin(), contents.chunks.end());
  const auto twice =
      std::adjacent_find(contents.chunks.begin(), contents.chunks.end());
  if (twice != contents.chunks.end()) {
    return absl::DataLossError(
        absl::StrCat(directory, ": chunk ", *twice, " is there twice"));
  }
  return contents;
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(
      absl::StrCat(directory, ": no memory to read the index"));
}

}  // namespace braid::retrieval
