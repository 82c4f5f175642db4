// Any tokenizer.json either is refused or encodes and decodes without harm: ids
// are not negative, spans lie in the text, streaming does not fail.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "generation/text/detokenizer.h"
#include "generation/text/tokenizer.h"
#include "tests/fuzz/fuzz_directory.h"

namespace {

using braid::model::TokenEncoding;
using braid::model::Tokenizer;

// Letters, blanks, control tokens, two to four byte characters, a combining
// one.
constexpr char kText[] =
    "the inner <|im_start|>thing</s> [CLS] caf\xC3\xA9 e\xCC\x81 "
    "\xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80\n 42";

void Use(const Tokenizer& tokenizer) {
  const std::string text = kText;
  for (const bool trusting : {false, true}) {
    braid::model::EncodeOptions options;
    options.parse_special_tokens = trusting;
    options.with_spans = true;
    const absl::StatusOr<TokenEncoding> encoding =
        tokenizer.Encode(text, options);
    if (!encoding.ok()) continue;
    if (encoding->spans.size() != encoding->ids.size()) std::abort();
    for (size_t i = 0; i < encoding->ids.size(); ++i) {
      const braid::model::TokenSpan& span = encoding->spans[i];
      if (encoding->ids[i] < 0 || span.begin > span.end ||
          span.end > text.size()) {
        std::abort();
      }
    }
    (void)tokenizer.Decode(encoding->ids, trusting);
    braid::model::Detokenizer stream(&tokenizer);
    for (const int32_t id : encoding->ids) (void)stream.Add(id);
    (void)stream.Finish();
    options.max_tokens = 3;
    const absl::StatusOr<TokenEncoding> cut = tokenizer.Encode(text, options);
    if (cut.ok() && cut->ids.size() > 3) std::abort();
  }
  (void)tokenizer.Count(text);
  (void)tokenizer.TokenToId("</s>");
  (void)tokenizer.vocab_size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const braid::model::FuzzDirectory directory;
  const auto tokenizer =
      Tokenizer::FromFile(directory.Write("tokenizer.json", data, size));
  if (tokenizer.ok()) {
    Use(**tokenizer);
  } else if (tokenizer.status().message().empty()) {
    std::abort();
  }
  return 0;
}
