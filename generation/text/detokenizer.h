// Turns a growing list of tokens into text, whole UTF-8 characters at a time.
#ifndef BRAID_GENERATION_TEXT_DETOKENIZER_H_
#define BRAID_GENERATION_TEXT_DETOKENIZER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/text/tokenizer.h"

namespace braid::model {

// The concatenation of everything that Add and Finish return equals one Decode
// of all tokens (control tokens skipped), for decoders that act on a bounded
// window, as all common ones do. Each call costs O(window): the tokens since
// the last but one piece of text. Not thread-safe.
class Detokenizer {
 public:
  // `tokenizer` must outlive this object.
  explicit Detokenizer(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  // The text that `id` completes; empty while a character is still unfinished.
  absl::StatusOr<std::string> Add(int32_t id);
  // What is left at the end; unfinished bytes come out as U+FFFD.
  absl::StatusOr<std::string> Finish();

 private:
  absl::StatusOr<std::string> Advance(bool finish);

  const Tokenizer* tokenizer_;
  // Tokens from the start of the last piece on. They are decoded together with
  // that piece because a decoder treats the first token of a text differently
  // (it drops the leading space).
  std::vector<int32_t> window_;
  size_t shown_ = 0;  // tokens of the window whose text is out
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_TEXT_DETOKENIZER_H_
