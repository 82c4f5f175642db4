// The JSON header of a safetensors file.
#ifndef BRAID_GENERATION_CHECKPOINT_SAFETENSORS_HEADER_H_
#define BRAID_GENERATION_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::model {

// One tensor as the header states it; nothing is checked against the data.
struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  // data_offsets, relative to the end of the header
  uint64_t end = 0;
};

// Reads the header in one pass, without building a document of it: memory is in
// proportion to the tensors named. `__metadata__` is checked and dropped.
// INVALID_ARGUMENT naming `path`, and the tensor where there is one, for
// malformed JSON, a missing, repeated or unknown field, or a wrong type.
// Repeated tensor names come back as they are: the caller sees them all.
absl::StatusOr<std::vector<HeaderEntry>> ParseSafetensorsHeader(
    absl::string_view header, const std::string& path);

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_SAFETENSORS_HEADER_H_
