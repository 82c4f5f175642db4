// The seam to text encoders.
#ifndef BRAID_RETRIEVAL_ENCODER_ENCODER_H_
#define BRAID_RETRIEVAL_ENCODER_ENCODER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::retrieval {

// Turns texts into unit vectors whose inner product is their similarity.
// Implementations are immutable and thread-safe.
class Encoder {
 public:
  virtual ~Encoder() = default;

  virtual size_t dimension() const = 0;
  // Changes whenever the vectors would: weights, pooling, length limit.
  virtual const std::string& fingerprint() const = 0;
  // Longest input in tokens, special ones included; longer texts are cut.
  virtual size_t max_tokens() const = 0;

  // Writes one unit vector of dimension() floats per text to `out`, in order.
  // `texts` may have any length and mix lengths: the implementation batches.
  virtual absl::Status Embed(absl::Span<const absl::string_view> texts,
                             float* out) const = 0;

  // Byte offsets at which the tokens of `text` begin, without special tokens
  // and without any length limit: what the chunker counts and cuts with.
  virtual absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const = 0;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_ENCODER_ENCODER_H_
