// An encoder whose vectors cost nothing: what is left is the rest of ingest.
#ifndef BRAID_SERVICES_BENCH_CONSTANT_ENCODER_H_
#define BRAID_SERVICES_BENCH_CONSTANT_ENCODER_H_

#include <algorithm>
#include <string>
#include <vector>

#include "retrieval/encoder/encoder.h"

namespace braid::services {

// Counts tokens with the real encoder and gives every text the same unit
// vector.
class ConstantEncoder : public retrieval::Encoder {
 public:
  // `tokens` must outlive this.
  explicit ConstantEncoder(const retrieval::Encoder* tokens)
      : tokens_(*tokens), fingerprint_("constant") {}

  size_t dimension() const override { return tokens_.dimension(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  size_t max_tokens() const override { return tokens_.max_tokens(); }
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    std::fill(out, out + texts.size() * dimension(), 0.0f);
    for (size_t i = 0; i < texts.size(); ++i) out[i * dimension()] = 1.0f;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const override {
    return tokens_.TokenStarts(text);
  }

 private:
  const retrieval::Encoder& tokens_;
  const std::string fingerprint_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_CONSTANT_ENCODER_H_
