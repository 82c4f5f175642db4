#include "retrieval/dense/segment_file.h"

#include <unistd.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "retrieval/dense/flat_segment.h"
#include "retrieval/dense/hnsw_segment.h"

namespace braid::retrieval {
namespace {

struct SegmentHeader {
  uint32_t kind = 0;
  uint32_t dimension = 0;
  uint64_t rows = 0;
};
static_assert(sizeof(SegmentHeader) == 16);

absl::StatusOr<EnvelopeSeal> Write(const std::string& path,
                                   const Segment& segment, size_t dimension) {
  auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kSegment);
  if (!writer.ok()) return writer.status();
  const SegmentHeader header{static_cast<uint32_t>(segment.kind()),
                             static_cast<uint32_t>(dimension), segment.rows()};
  absl::Status status = (*writer)->AppendValue(header);
  for (size_t row = 0; status.ok() && row < segment.rows(); ++row) {
    status = (*writer)->AppendValue(segment.id(row));
  }
  if (status.ok()) status = segment.WriteVectors(**writer);
  if (!status.ok()) return status;
  return (*writer)->Finish();
}

absl::StatusOr<std::shared_ptr<const Segment>> ReadFlat(
    size_t dimension, const std::vector<ChunkId>& ids, EnvelopeReader& reader) {
  if (reader.remaining() != ids.size() * dimension * sizeof(float)) {
    return absl::DataLossError("wrong number of vectors");
  }
  FlatBuilder builder(dimension);
  std::vector<float> vector(dimension);
  for (const ChunkId id : ids) {
    if (absl::Status status =
            reader.Read(vector.data(), dimension * sizeof(float));
        !status.ok()) {
      return status;
    }
    builder.Append(id, vector.data());
  }
  return builder.View();
}

}  // namespace

absl::StatusOr<EnvelopeSeal> WriteSegmentFile(const std::string& path,
                                              const Segment& segment,
                                              size_t dimension) {
  absl::StatusOr<EnvelopeSeal> seal = Write(path, segment, dimension);
  if (!seal.ok()) ::unlink(path.c_str());
  return seal;
}

absl::StatusOr<std::shared_ptr<const Segment>> ReadSegmentFile(
    const std::string& path, const EnvelopeSeal& seal, size_t dimension) {
  auto reader = EnvelopeReader::Open(path, EnvelopeKind::kSegment);
  if (!reader.ok()) return reader.status();
  const auto damaged = [&path](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path, ": ", what));
  };
  if ((*reader)->seal() != seal) return damaged("not the file of the manifest");
  SegmentHeader header;
  if (absl::Status status = (*reader)->ReadValue(header); !status.ok()) {
    return status;
  }
  if (header.dimension != dimension || header.rows == 0 ||
      header.rows > kMaxSegmentRows ||
      header.rows > (*reader)->remaining() / sizeof(ChunkId)) {
    return damaged("impossible size");
  }
  std::vector<ChunkId> ids(header.rows);
  if (absl::Status status =
          (*reader)->Read(ids.data(), ids.size() * sizeof(ChunkId));
      !status.ok()) {
    return status;
  }
  switch (static_cast<SegmentKind>(header.kind)) {
    case SegmentKind::kFlat:
      return ReadFlat(dimension, ids, **reader);
    case SegmentKind::kHnsw:
      return HnswSegment::Read(dimension, std::move(ids), **reader);
  }
  return damaged("unknown kind of segment");
}

}  // namespace braid::retrieval
