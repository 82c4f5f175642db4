// An encoder that can answer from memory: what is left of a search is the rest
// of it.
#ifndef BRAID_SERVICES_BENCH_REMEMBERING_ENCODER_H_
#define BRAID_SERVICES_BENCH_REMEMBERING_ENCODER_H_

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "retrieval/encoder/encoder.h"

namespace braid::services {

class RememberingEncoder : public retrieval::Encoder {
 public:
  explicit RememberingEncoder(std::unique_ptr<retrieval::Encoder> encoder)
      : encoder_(std::move(encoder)) {}

  // Not while others embed.
  absl::Status Remember(const std::vector<std::string>& texts) {
    std::vector<absl::string_view> views(texts.begin(), texts.end());
    std::vector<float> vectors(texts.size() * dimension());
    absl::Status status = encoder_->Embed(views, vectors.data());
    for (size_t i = 0; status.ok() && i < texts.size(); ++i) {
      const float* vector = vectors.data() + i * dimension();
      remembered_[texts[i]].assign(vector, vector + dimension());
    }
    return status;
  }
  // From now on, what is remembered is not computed.
  void set_recalls(bool recalls) { recalls_ = recalls; }

  size_t dimension() const override { return encoder_->dimension(); }
  const std::string& fingerprint() const override {
    return encoder_->fingerprint();
  }
  size_t max_tokens() const override { return encoder_->max_tokens(); }
  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    if (recalls_ && texts.size() == 1) {
      const auto found = remembered_.find(texts[0]);
      if (found != remembered_.end()) {
        std::copy(found->second.begin(), found->second.end(), out);
        return absl::OkStatus();
      }
    }
    return encoder_->Embed(texts, out);
  }
  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const override {
    return encoder_->TokenStarts(text);
  }

 private:
  const std::unique_ptr<retrieval::Encoder> encoder_;
  std::atomic<bool> recalls_ = false;
  absl::flat_hash_map<std::string, std::vector<float>> remembered_;
};

}  // namespace braid::services

#endif  // BRAID_SERVICES_BENCH_REMEMBERING_ENCODER_H_
