// The file that says what the index consists of: its rename is the commit.
#ifndef BRAID_RETRIEVAL_DENSE_MANIFEST_H_
#define BRAID_RETRIEVAL_DENSE_MANIFEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retrieval/dense/envelope.h"
#include "retrieval/dense/segment.h"
#include "retrieval/types.h"

namespace braid::retrieval {

struct ManifestSegment {
  uint64_t file = 0;  // see SegmentPath
  EnvelopeSeal seal;
  // Deletes live here, so that a segment file is written once.
  DeadRows dead;

  friend bool operator==(const ManifestSegment&,
                         const ManifestSegment&) = default;
};

struct Manifest {
  size_t dimension = 0;
  Sequence sequence = 0;
  uint64_t next_file = 1;  // no file had this number or a higher one
  std::vector<ManifestSegment> segments;
};

std::string SegmentPath(const std::string& directory, uint64_t file);

// Replaces the manifest atomically; durable when it returns OK. The segment
// files must be written and synced before.
absl::Status WriteManifest(const std::string& directory,
                           const Manifest& manifest);
// NOT_FOUND if there is none, DATA_LOSS if it is damaged.
absl::StatusOr<Manifest> ReadManifest(const std::string& directory);

// Removes the index files that `manifest` does not list, such as those of a
// commit that never finished, except the segment file `keep` (0: none). Other
// files are left alone.
void RemoveOrphans(const std::string& directory, const Manifest& manifest,
                   uint64_t keep);

// Removes the manifest, then everything it listed.
absl::Status RemoveAll(const std::string& directory);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_DENSE_MANIFEST_H_
