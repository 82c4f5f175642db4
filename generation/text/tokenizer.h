// HF `tokenizer.json` files, through the tokenizers crate.
#ifndef BRAID_GENERATION_TEXT_TOKENIZER_H_
#define BRAID_GENERATION_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace braid::model {

struct TokenSpan {
  uint32_t begin = 0;  // byte offsets into the encoded text, half-open;
  uint32_t end = 0;    // equal for tokens that are not in the text ([CLS])
};

struct TokenEncoding {
  std::vector<int32_t> ids;
  std::vector<TokenSpan> spans;  // parallel to ids; empty unless asked for
};

struct EncodeOptions {
  // Let the post-processor add its tokens ([CLS] ... [SEP], or <s>).
  bool add_special_tokens = true;
  // Recognise special tokens written out in the text. Only ever true for text
  // that a chat template made: document and user text must never be able to
  // produce a control token.
  bool parse_special_tokens = false;
  // Cut at so many tokens, the special ones included; 0 for no limit.
  size_t max_tokens = 0;
  bool with_spans = false;
};

// Immutable after loading; safe to share between threads.
class Tokenizer {
 public:
  // INVALID_ARGUMENT naming the file if it is not a tokenizer.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromFile(
      const std::string& path);
  // The same for a model with `vocab_size` tokens, as config.json has it:
  // INVALID_ARGUMENT if the tokenizer has more.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromFile(
      const std::string& path, int64_t vocab_size);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // `text` must be UTF-8 (INVALID_ARGUMENT otherwise).
  absl::StatusOr<TokenEncoding> Encode(absl::string_view text,
                                       const EncodeOptions& options) const;
  // Number of tokens, without special ones.
  absl::StatusOr<size_t> Count(absl::string_view text) const;
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special_tokens) const;
  // -1 if there is no such token.
  int32_t TokenToId(absl::string_view token) const;
  size_t vocab_size() const;
  // For ChatTemplate only: the handle of the Rust side.
  const void* handle() const { return handle_; }

 private:
  explicit Tokenizer(void* handle) : handle_(handle) {}
  void* handle_;  // owned, from the Rust side
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_TEXT_TOKENIZER_H_
