// An encoder whose vectors cost nearly nothing: what is left is the rest of
// ingest.
#ifndef BRAID_SERVICES_BENCH_HASH_ENCODER_H_
#define BRAID_SERVICES_BENCH_HASH_ENCODER_H_

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "retrieval/encoder/encoder.h"

namespace braid::services {

// Counts tokens with the real encoder and gives every text a unit vector of its
// own, without meaning.
class HashEncoder : public retrieval::Encoder {
 public:
  // `tokens` must outlive this.
  explicit HashEncoder(const retrieval::Encoder* tokens)
      : tokens_(*tokens), fingerprint_("hash") {}

  size_t dimension() const override { return tokens_.dimension(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  size_t max_tokens() const override { return tokens_.max_tokens(); }
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    for (const absl::string_view text : texts) {
      std::minstd_rand random(static_cast<uint32_t>(absl::HashOf(text)));
      double sum = 0;
      for (size_t i = 0; i < dimension(); ++i) {
        out[i] = static_cast<float>(random()) - 1073741823.5f;
        sum += double{out[i]} * out[i];
      }
      const auto scale = static_cast<float>(1 / std::sqrt(sum));
      for (size_t i = 0; i < dimension(); ++i) *out++ *= scale;
    }
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

#endif  // BRAID_SERVICES_BENCH_HASH_ENCODER_H_
