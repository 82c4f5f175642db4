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

absl::StatusOr<EnvelopeSeal> WriteFlat(const std::string& path,
                                       const Segment& rows, size_t dimension) {
  auto writer = EnvelopeWriter::Create(path, EnvelopeKind::kSegment);
  if (!writer.ok()) return writer.status();
  absl::Status status = (*writer)->AppendValue(
      SegmentHeader{static_cast<uint32_t>(SegmentKind::kFlat),
                    static_cast<uint32_t>(dimension), rows.rows()});
  for (size_t row = 0; status.ok() && row < rows.rows(); ++row) {
    status = (*writer)->AppendValue(rows.id(row));
  }
  for (size_t row = 0; status.ok() && row < rows.rows(); ++row) {
    status = (*writer)->Append(rows.vector(row), dimension * sizeof(float));
  }
  if (!status.ok()) return status;
  return (*writer)->Finish();
}

}  // namespace

absl::StatusOr<EnvelopeSeal> WriteFlatSegmentFile(const std::string& path,
                                                  const Segment& rows,
                                                  size_t dimension) {
  absl::StatusOr<EnvelopeSeal> seal = WriteFlat(path, rows, dimension);
  if (!seal.ok()) ::unlink(path.c_str());
  return seal;
}

absl::StatusOr<std::shared_ptr<const Segment>> MapSegmentFile(
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
      header.rows > kMaxSegmentRows) {
    return damaged("impossible size");
  }
  absl::StatusOr<std::shared_ptr<const Segment>> segment =
      absl::DataLossError("unknown kind of segment");
  switch (static_cast<SegmentKind>(header.kind)) {
    case SegmentKind::kFlat:
      segment = MappedFlatSegment::Map(dimension, header.rows, **reader);
      break;
    case SegmentKind::kHnsw:
      segment = HnswSegment::Map(dimension, header.rows, **reader);
      break;
  }
  if (!segment.ok()) {
    return absl::Status(segment.status().code(),
                        absl::StrCat(path, ": ", segment.status().message()));
  }
  return segment;
}

}  // namespace braid::retrieval
