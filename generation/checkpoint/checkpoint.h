// A checkpoint directory in the Hugging Face layout: `model.safetensors`, or
// shards named by `model.safetensors.index.json`.
#ifndef BRAID_GENERATION_CHECKPOINT_CHECKPOINT_H_
#define BRAID_GENERATION_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "generation/checkpoint/safetensors.h"

namespace braid::model {

// Memory-maps every shard; tensors are views into the mapping. Files are
// hostile input: every size is checked against the file's length before
// anything is allocated. Immutable after Open, so safe to share.
class Checkpoint {
 public:
  // NOT_FOUND if there is no checkpoint in `directory`; INVALID_ARGUMENT naming
  // the file and the field for a malformed one.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(
      const std::string& directory);

  const std::string& directory() const { return directory_; }

  // Names of all tensors, sorted.
  std::vector<std::string> TensorNames() const;
  // Null if there is none of that name. The view lives as long as this object.
  const TensorView* Find(absl::string_view name) const;

  // The tensor, if it is there in this shape and in floating point. NOT_FOUND
  // if missing; INVALID_ARGUMENT naming both shapes, or the type.
  absl::StatusOr<const TensorView*> FindFloat(
      absl::string_view name, absl::Span<const int64_t> shape) const;

  // Copies such a tensor as f32 (bf16, f16 and f32 are widened exactly).
  absl::StatusOr<std::vector<float>> ReadF32(
      absl::string_view name, absl::Span<const int64_t> shape) const;
  // The same for entry `index` of the first dimension alone.
  absl::StatusOr<std::vector<float>> ReadSliceF32(
      absl::string_view name, absl::Span<const int64_t> shape,
      int64_t index) const;

 private:
  Checkpoint() = default;

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  absl::flat_hash_map<std::string, const TensorView*> tensors_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_CHECKPOINT_CHECKPOINT_H_
