// An encoder whose tokens are easy to count by hand.
#ifndef BRAID_TESTS_INGEST_FAKE_ENCODER_H_
#define BRAID_TESTS_INGEST_FAKE_ENCODER_H_

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "retrieval/encoder/encoder.h"

namespace braid::retrieval {

// A token is a run of letters, digits and bytes above ASCII, or one other
// character that is not white space. A vector holds the text's length and hash.
class FakeEncoder : public Encoder {
 public:
  size_t dimension() const override { return 4; }
  const std::string& fingerprint() const override { return fingerprint_; }
  size_t max_tokens() const override { return 256; }

  absl::Status Embed(absl::Span<const absl::string_view> texts,
                     float* out) const override {
    if (on_embed) {
      if (absl::Status status = on_embed(texts); !status.ok()) return status;
    }
    ++batches;
    embedded += texts.size();
    for (absl::string_view text : texts) {
      *out++ = static_cast<float>(text.size());
      *out++ = static_cast<float>(std::hash<std::string>()(std::string(text)) %
                                  65536);
      *out++ = 0;
      *out++ = 1;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<uint32_t>> TokenStarts(
      absl::string_view text) const override {
    std::vector<uint32_t> starts;
    bool in_word = false;
    for (size_t i = 0; i < text.size(); ++i) {
      const unsigned char c = text[i];
      const bool word = absl::ascii_isalnum(c) || c >= 0x80;
      if (word ? !in_word : !absl::ascii_isspace(c)) {
        starts.push_back(static_cast<uint32_t>(i));
      }
      in_word = word;
    }
    return starts;
  }

  std::function<absl::Status(absl::Span<const absl::string_view>)> on_embed;
  mutable std::atomic<size_t> batches{0};
  mutable std::atomic<size_t> embedded{0};

 private:
  std::string fingerprint_ = "fake";
};

}  // namespace braid::retrieval

#endif  // BRAID_TESTS_INGEST_FAKE_ENCODER_H_
