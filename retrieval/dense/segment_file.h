// A segment as a file: a SegmentHeader and what its kind needs, in an envelope.
#ifndef BRAID_RETRIEVAL_DENSE_SEGMENT_FILE_H_
#define BRAID_RETRIEVAL_DENSE_SEGMENT_FILE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "retrieval/dense/envelope.h"
#include "retrieval/dense/segment.h"

namespace braid::retrieval {

// Writes the rows as a flat segment and syncs the file. On an error what is
// left of it is removed. (HnswSegment::Build writes its own.)
absl::StatusOr<EnvelopeSeal> WriteFlatSegmentFile(const std::string& path,
                                                  const Segment& rows,
                                                  size_t dimension);

// NOT_FOUND or DATA_LOSS unless it is the undamaged file with this seal.
absl::StatusOr<std::shared_ptr<const Segment>> MapSegmentFile(
    const std::string& path, const EnvelopeSeal& seal, size_t dimension);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_SEGMENT_FILE_H_
